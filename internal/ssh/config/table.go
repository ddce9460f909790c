package config

// keywordTable has all keywords of OpenSSH, in the order in which ssh -G prints them; the later
// rows are never printed.
var keywordTable = []keyword{
	{"user", opUser, Honoured, readText, "", nil},
	{"hostname", opHostName, Honoured, readText, "", nil},
	{"port", opPort, Honoured, readPort, "22", nil},
	{"addressfamily", opAddressFamily, Honoured, readEnum(addressFamilies), "any", nil},
	{"batchmode", opBatchMode, Honoured, readEnum(flags), "no", nil},
	{"canonicalizefallbacklocal", opCanonicalizeFallbackLocal, Honoured, readEnum(flags), "yes", nil},
	{"canonicalizehostname", opCanonicalizeHostname, Honoured, readEnum(canonicalize), "false", nil},
	{"checkhostip", opCheckHostIP, Reported, readEnum(flags), "no", nil},
	{"compression", opCompression, WithoutEffect, readEnum(yesNo), "no", nil},
	{"controlmaster", opControlMaster, WithoutEffect, readEnum(controlMaster), "false", nil},
	{"enablesshkeysign", opEnableSSHKeysign, WithoutEffect, readEnum(flags), "no", nil},
	{"clearallforwardings", opClearAllForwardings, WithoutEffect, readEnum(flags), "no", nil},
	{"exitonforwardfailure", opExitOnForwardFailure, WithoutEffect, readEnum(flags), "no", nil},
	{"fingerprinthash", opFingerprintHash, WithoutEffect, readEnum(digests), "SHA256", nil},
	{"forwardx11", opForwardX11, WithoutEffect, readEnum(flags), "no", nil},
	{"forwardx11trusted", opForwardX11Trusted, WithoutEffect, readEnum(flags), "no", nil},
	{"gatewayports", opGatewayPorts, WithoutEffect, readEnum(flags), "no", nil},
	{"gssapiauthentication", opGSSAPIAuthentication, Honoured, readEnum(flags), "no", nil},
	{"gssapidelegatecredentials", opGSSAPIDelegateCredentials, Honoured, readEnum(flags), "no", nil},
	{"hashknownhosts", opHashKnownHosts, Honoured, readEnum(flags), "no", nil},
	{"hostbasedauthentication", opHostbasedAuthentication, Honoured, readEnum(flags), "no", nil},
	{"identitiesonly", opIdentitiesOnly, Honoured, readEnum(flags), "no", nil},
	{
		"kbdinteractiveauthentication", opKbdInteractiveAuthentication, Honoured, readEnum(flags), "yes",
		[]string{"challengeresponseauthentication", "skeyauthentication", "tisauthentication"},
	},
	{"nohostauthenticationforlocalhost", opNoHostAuthenticationForLocalhost, Reported, readEnum(flags), "no", nil},
	{"passwordauthentication", opPasswordAuthentication, Honoured, readEnum(flags), "yes", nil},
	{"permitlocalcommand", opPermitLocalCommand, Reported, readEnum(flags), "no", nil},
	{"proxyusefdpass", opProxyUseFdpass, Refused, readEnum(flags), "no", nil},
	{"pubkeyauthentication", opPubkeyAuthentication, Honoured, readEnum(pubkeyAuth), "true", []string{"dsaauthentication"}},
	{"requesttty", opRequestTTY, Honoured, readEnum(requestTTY), "auto", nil},
	{"sessiontype", opSessionType, Refused, readEnum(sessionTypes), "default", nil},
	{"stdinnull", opStdinNull, WithoutEffect, readEnum(flags), "no", nil},
	{"forkafterauthentication", opForkAfterAuthentication, WithoutEffect, readEnum(flags), "no", nil},
	{"streamlocalbindunlink", opStreamLocalBindUnlink, WithoutEffect, readEnum(flags), "no", nil},
	{"stricthostkeychecking", opStrictHostKeyChecking, Honoured, readEnum(strictness), "ask", nil},
	{"tcpkeepalive", opTCPKeepAlive, Honoured, readEnum(flags), "yes", []string{"keepalive"}},
	{"tunnel", opTunnel, WithoutEffect, readEnum(tunnels), "false", nil},
	{"verifyhostkeydns", opVerifyHostKeyDNS, Reported, readEnum(yesNoAsk), "false", nil},
	{"visualhostkey", opVisualHostKey, WithoutEffect, readEnum(flags), "no", nil},
	{"updatehostkeys", opUpdateHostKeys, WithoutEffect, readEnum(yesNoAsk), "true", nil},
	{"enableescapecommandline", opEnableEscapeCommandline, WithoutEffect, readEnum(flags), "no", nil},
	{"canonicalizemaxdots", opCanonicalizeMaxDots, Honoured, readInt, "1", nil},
	{"connectionattempts", opConnectionAttempts, Honoured, readInt, "1", nil},
	{"forwardx11timeout", opForwardX11Timeout, WithoutEffect, readTime, "1200", nil},
	{"numberofpasswordprompts", opNumberOfPasswordPrompts, Honoured, readInt, "3", nil},
	{"serveralivecountmax", opServerAliveCountMax, Honoured, readInt, "3", nil},
	{"serveraliveinterval", opServerAliveInterval, Honoured, readTime, "0", nil},
	{"requiredrsasize", opRequiredRSASize, Honoured, readInt, "1024", nil},
	{"bindaddress", opBindAddress, Honoured, readText, "", nil},
	{"bindinterface", opBindInterface, Honoured, readText, "", nil},
	{"ciphers", opCiphers, Honoured, readAlgorithms(listCiphers), "", nil},
	{"controlpath", opControlPath, Honoured, readText, "", nil},
	{"hostkeyalgorithms", opHostKeyAlgorithms, Honoured, readAlgorithms(listHostKey), "", nil},
	{"hostkeyalias", opHostKeyAlias, Honoured, readText, "", nil},
	{
		"hostbasedacceptedalgorithms", opHostbasedAcceptedAlgorithms, Honoured, readAlgorithms(listHostbased), "",
		[]string{"hostbasedkeytypes"},
	},
	{"identityagent", opIdentityAgent, Honoured, readAgent(opIdentityAgent), "", nil},
	{"ignoreunknown", opIgnoreUnknown, Honoured, readText, "", nil},
	{"kbdinteractivedevices", opKbdInteractiveDevices, WithoutEffect, readText, "", nil},
	{"kexalgorithms", opKexAlgorithms, Honoured, readAlgorithms(listKex), "", nil},
	{"casignaturealgorithms", opCASignatureAlgorithms, Honoured, readAlgorithms(listCASignature), "", nil},
	{"localcommand", opLocalCommand, Reported, readCommand, "", nil},
	{"remotecommand", opRemoteCommand, Refused, readCommand, "", nil},
	{"loglevel", opLogLevel, WithoutEffect, readEnum(logLevels), "INFO", nil},
	{"macs", opMACs, Honoured, readAlgorithms(listMACs), "", nil},
	{"pkcs11provider", opPKCS11Provider, Honoured, readText, "", []string{"smartcarddevice"}},
	{"securitykeyprovider", opSecurityKeyProvider, Honoured, readText, "internal", nil},
	{"preferredauthentications", opPreferredAuthentications, Honoured, readText, "", nil},
	{
		"pubkeyacceptedalgorithms", opPubkeyAcceptedAlgorithms, Honoured, readAlgorithms(listPubkeyAccepted), "",
		[]string{"pubkeyacceptedkeytypes"},
	},
	{"revokedhostkeys", opRevokedHostKeys, Honoured, readText, "", nil},
	{"xauthlocation", opXAuthLocation, WithoutEffect, readText, "/usr/bin/xauth", nil},
	{"knownhostscommand", opKnownHostsCommand, Honoured, readCommand, "", nil},
	{"tag", opTag, Honoured, readText, "", nil},
	{"dynamicforward", opDynamicForward, WithoutEffect, readForward, "", nil},
	{"localforward", opLocalForward, WithoutEffect, readForward, "", nil},
	{"remoteforward", opRemoteForward, Reported, readForward, "", nil},
	{"identityfile", opIdentityFile, Honoured, readText, "", []string{"identityfile2"}},
	{"canonicaldomains", opCanonicalDomains, Honoured, readDomains, "none", nil},
	{"certificatefile", opCertificateFile, Honoured, readText, "", nil},
	{"globalknownhostsfile", opGlobalKnownHostsFile, Honoured, readFiles, "", nil},
	{"userknownhostsfile", opUserKnownHostsFile, Honoured, readFiles, "", nil},
	{"sendenv", opSendEnv, Honoured, readSendEnv, "", nil},
	{"setenv", opSetEnv, Honoured, readSetEnv, "", nil},
	{"logverbose", opLogVerbose, WithoutEffect, readLogVerbose, "none", nil},
	{"permitremoteopen", opPermitRemoteOpen, WithoutEffect, readPermitOpen, "any", nil},
	{"addkeystoagent", opAddKeysToAgent, WithoutEffect, readAddKeys, "false", nil},
	{"forwardagent", opForwardAgent, Honoured, readForwardAgent, "no", nil},
	{"connecttimeout", opConnectTimeout, Honoured, readTime, "none", nil},
	{"tunneldevice", opTunnelDevice, WithoutEffect, readTunnelDevice, "any:any", nil},
	{"canonicalizepermittedcnames", opCanonicalizePermittedCNAMEs, Honoured, readPermittedCNAMEs, "none", nil},
	{"controlpersist", opControlPersist, WithoutEffect, readControlPersist, "no", nil},
	{"escapechar", opEscapeChar, WithoutEffect, readEscapeChar, "~", nil},
	{"ipqos", opIPQoS, WithoutEffect, readIPQoS, "af21 cs1", nil},
	{"rekeylimit", opRekeyLimit, Honoured, readRekeyLimit, "0 0", nil},
	{"streamlocalbindmask", opStreamLocalBindMask, WithoutEffect, readBindMask, "0177", nil},
	{"syslogfacility", opSyslogFacility, WithoutEffect, readEnum(facilities), "USER", nil},
	{"proxycommand", opProxyCommand, Honoured, readCommand, "", nil},
	{"proxyjump", opProxyJump, Honoured, readProxyJump, "", nil},

	// Added after 9.2.
	{"obscurekeystroketiming", opObscureKeystrokeTiming, WithoutEffect, readWords, "", nil},
	{"channeltimeout", opChannelTimeout, Reported, readWords, "", nil},
	{"refuseconnection", opRefuseConnection, Honoured, readCommand, "", nil},
	{"versionaddendum", opVersionAddendum, WithoutEffect, readCommand, "", nil},
	{"warnweakcrypto", opWarnWeakCrypto, WithoutEffect, readWords, "", nil},

	// Keywords that affect the lines that follow.
	{"host", opHost, Honoured, readHost, "", nil},
	{"match", opMatch, Honoured, readMatch, "", nil},
	{"include", opInclude, Honoured, readInclude, "", nil},

	// Patched in by Debian and others.
	{"gssapikeyexchange", opGSSAPIKeyExchange, WithoutEffect, readFirst, "", nil},
	{"gssapitrustdns", opGSSAPITrustDNS, Reported, readEnum(flags), "", nil},
	{"gssapiserveridentity", opGSSAPIServerIdentity, Honoured, readText, "", nil},
	{"gssapiclientidentity", opGSSAPIClientIdentity, Honoured, readText, "", nil},

	// Keywords that ssh ignores: deprecated, unsupported, or patched in by Debian for what is not
	// offered.
	{"protocol", opIgnored, WithoutEffect, readNothing, "", []string{
		"cipher", "fallbacktorsh", "globalknownhostsfile2", "rhostsauthentication", "userknownhostsfile2", "useroaming",
		"usersh", "useprivilegedport", "afstokenpassing", "kerberosauthentication", "kerberostgtpassing",
		"rsaauthentication", "rhostsrsaauthentication", "compressionlevel", "useblacklistedkeys",
		"gssapirenewalforcesrekey", "gssapikexalgorithms",
	}},
}

// indexKeywords returns the rows by all of their names.
func indexKeywords() map[string]*keyword {
	byName := make(map[string]*keyword, 2*len(keywordTable))
	for i := range keywordTable {
		k := &keywordTable[i]
		byName[k.name] = k
		for _, alias := range k.aliases {
			byName[alias] = k
		}
	}
	return byName
}
