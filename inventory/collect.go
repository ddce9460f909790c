package inventory

import (
	"fmt"

	"shoal/fleet"
)

// A key is what makes two entries the same login at the same server.
type key struct {
	user, name string
	port       uint16
}

// A collector keeps the hosts that are neither excluded nor doubled.
type collector struct {
	opts     Options
	rules    *exclusions
	hosts    []fleet.Host
	seen     map[key]struct{}
	doubled  sample
	excluded int
}

func newCollector(opts Options, rules *exclusions) *collector {
	return &collector{opts: opts, rules: rules, seen: make(map[key]struct{})}
}

func (c *collector) add(h fleet.Host) {
	if h.Port == 0 {
		h.Port = c.opts.Port
	}
	k := key{user: h.User, name: canonical(h.Name), port: h.Port}
	if k.user == "" {
		k.user = c.opts.User
	}
	if k.port == 0 {
		k.port = fleet.DefaultPort
	}
	if c.rules.match(k) {
		c.excluded++
		return
	}
	if _, doubled := c.seen[k]; doubled {
		c.doubled.add(h)
		return
	}
	c.seen[k] = struct{}{}
	c.hosts = append(c.hosts, h)
}

// empty says why there is no host.
func (c *collector) empty() Problem {
	if c.excluded > 0 {
		return Problem{
			Reason: fmt.Sprintf("no hosts left: all %d are excluded", c.excluded),
			Hint:   "check -x against -w and --hostfile",
		}
	}
	if len(c.opts.Hosts)+len(c.opts.Files) > 0 {
		return Problem{Reason: "no hosts: the sources hold none", Hint: "write one host expression to a line, such as node[1-9]"}
	}
	return Problem{Reason: "no hosts were named", Hint: "use -w node[1-9] or --hostfile FILE"}
}

func (c *collector) notices() []string {
	var notices []string
	if n := c.doubled.total; n > 0 {
		notices = append(notices, fmt.Sprintf("%s removed: %s", plural(n, "duplicate", "duplicates"), c.doubled))
	}
	if idle := c.rules.idle(); idle.total > 0 {
		notices = append(notices, fmt.Sprintf("%s not in the list: %s",
			plural(idle.total, "excluded host is", "excluded hosts are"), idle))
	}
	return notices
}
