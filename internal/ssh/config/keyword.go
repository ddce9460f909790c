package config

// An op identifies what a keyword sets; aliases share one. It is the index into a host's
// values.
type op uint8

const (
	opNone op = iota
	opUser
	opHostName
	opPort
	opAddressFamily
	opBatchMode
	opCanonicalizeFallbackLocal
	opCanonicalizeHostname
	opCheckHostIP
	opCompression
	opControlMaster
	opEnableSSHKeysign
	opClearAllForwardings
	opExitOnForwardFailure
	opFingerprintHash
	opForwardX11
	opForwardX11Trusted
	opGatewayPorts
	opGSSAPIAuthentication
	opGSSAPIDelegateCredentials
	opGSSAPIKeyExchange
	opGSSAPITrustDNS
	opGSSAPIServerIdentity
	opGSSAPIClientIdentity
	opHashKnownHosts
	opHostbasedAuthentication
	opIdentitiesOnly
	opKbdInteractiveAuthentication
	opNoHostAuthenticationForLocalhost
	opPasswordAuthentication
	opPermitLocalCommand
	opProxyUseFdpass
	opPubkeyAuthentication
	opRequestTTY
	opSessionType
	opStdinNull
	opForkAfterAuthentication
	opStreamLocalBindUnlink
	opStrictHostKeyChecking
	opTCPKeepAlive
	opTunnel
	opVerifyHostKeyDNS
	opVisualHostKey
	opUpdateHostKeys
	opEnableEscapeCommandline
	opCanonicalizeMaxDots
	opConnectionAttempts
	opForwardX11Timeout
	opNumberOfPasswordPrompts
	opServerAliveCountMax
	opServerAliveInterval
	opRequiredRSASize
	opBindAddress
	opBindInterface
	opCiphers
	opControlPath
	opHostKeyAlgorithms
	opHostKeyAlias
	opHostbasedAcceptedAlgorithms
	opIdentityAgent
	opIgnoreUnknown
	opKbdInteractiveDevices
	opKexAlgorithms
	opCASignatureAlgorithms
	opLocalCommand
	opRemoteCommand
	opLogLevel
	opMACs
	opPKCS11Provider
	opSecurityKeyProvider
	opPreferredAuthentications
	opPubkeyAcceptedAlgorithms
	opRevokedHostKeys
	opXAuthLocation
	opKnownHostsCommand
	opTag
	opDynamicForward
	opLocalForward
	opRemoteForward
	opIdentityFile
	opCanonicalDomains
	opCertificateFile
	opGlobalKnownHostsFile
	opUserKnownHostsFile
	opSendEnv
	opSetEnv
	opLogVerbose
	opPermitRemoteOpen
	opAddKeysToAgent
	opForwardAgent
	opForwardAgentPath // the socket, if ForwardAgent has one instead of yes
	opConnectTimeout
	opTunnelDevice
	opCanonicalizePermittedCNAMEs
	opControlPersist
	opEscapeChar
	opIPQoS
	opRekeyLimit
	opRekeyInterval // the second word of RekeyLimit, a value of its own
	opStreamLocalBindMask
	opSyslogFacility
	opProxyCommand
	opProxyJump
	opObscureKeystrokeTiming
	opChannelTimeout
	opRefuseConnection
	opVersionAddendum
	opWarnWeakCrypto
	opIgnored
	opHost
	opMatch
	opInclude
	numOps
)

// A Class says how a keyword is treated.
type Class uint8

// The classes.
const (
	// Honoured keywords affect the resolution or the connection.
	Honoured Class = iota
	// WithoutEffect keywords are checked and otherwise ignored: they ask for something that a
	// program without a terminal that runs commands on many hosts does not do, or ssh ignores
	// them as well. Resolved.Unused has those that are set.
	WithoutEffect
	// Reported keywords have no effect either, but the user may count on it: Resolved.Notices
	// says so where a value asks for something.
	Reported
	// Refused keywords are not honoured, although ignoring them would change who is trusted or
	// what runs where. Resolve returns an error for a value that enables one.
	Refused
)

var classNames = []string{"honoured", "without effect", "reported", "refused"}

func (c Class) String() string {
	if int(c) >= len(classNames) {
		return "invalid"
	}
	return classNames[c]
}

// A Keyword is a keyword that OpenSSH knows.
type Keyword struct {
	Name  string // in lower case, as ssh -G prints it
	Class Class
}

// Keywords returns every known keyword, including aliases, in the order of the keyword table,
// which follows the output of ssh -G.
func Keywords() []Keyword {
	list := make([]Keyword, 0, len(keywordTable)+16)
	for i := range keywordTable {
		k := &keywordTable[i]
		list = append(list, Keyword{k.name, k.class})
		for _, alias := range k.aliases {
			list = append(list, Keyword{alias, k.class})
		}
	}
	return list
}

// A keyword is a row of the table: how its arguments are parsed, and OpenSSH's default.
type keyword struct {
	name     string
	op       op
	class    Class
	read     func(*line) error
	standard string // as ssh -G prints it; "" if ssh -G prints nothing
	aliases  []string
}
