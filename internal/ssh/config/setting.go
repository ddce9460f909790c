package config

// name returns a keyword's first name.
func (c *Config) name(o op) string { return c.names[o] }

// Why returns the source of a keyword's value; for keywords with accumulated values, that of
// the first. For an unknown keyword it returns the source of a default.
func (r *Resolved) Why(keyword string) Source {
	k := r.config.keywords[lower(keyword)]
	if k == nil {
		return Source{}
	}
	for _, list := range [][]*setting{r.several(k.op), {r.values.first[k.op]}} {
		if len(list) > 0 && list[0] != nil {
			return *list[0].source
		}
	}
	return Source{}
}

// several returns the values of a keyword whose values accumulate.
func (r *Resolved) several(o op) []*setting {
	switch o {
	case opIdentityFile:
		return r.values.identities
	case opCertificateFile:
		return r.values.certificates
	case opSendEnv:
		return r.values.sendEnv
	case opLocalForward, opDynamicForward:
		return r.values.local
	case opRemoteForward:
		return r.values.remote
	}
	return nil
}
