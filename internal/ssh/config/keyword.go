package config

// An op stands for what a keyword sets; aliases share one. It is the index into
// a host's values.
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
	opForwardAgentPath // the socket that ForwardAgent may name instead of yes
	opConnectTimeout
	opTunnelDevice
	opCanonicalizePermittedCNAMEs
	opControlPersist
	opEscapeChar
	opIPQoS
	opRekeyLimit
	opRekeyInterval // the second word of RekeyLimit, which is first to win by itself
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

// A Class says what becomes of a keyword.
type Class uint8

// The classes.
const (
	// Honoured: it acts on the resolution, or on the connection.
	Honoured Class = iota
	// NotYetHonoured: its value stands in Resolved, and nothing reads it there.
	NotYetHonoured
	// WithoutEffect: its value is checked and then does nothing. What it asks
	// for is not done by a program that runs commands on many hosts and has no
	// terminal, or ssh ignores it as well.
	WithoutEffect
	// Refused: not honoured, and ignoring it would change whom we trust or what
	// runs where. A value that asks for it is an error of Resolve.
	Refused
)

var classNames = []string{"honoured", "not yet honoured", "without effect", "refused"}

func (c Class) String() string {
	if int(c) >= len(classNames) {
		return "invalid"
	}
	return classNames[c]
}

// A Keyword is a word that OpenSSH knows.
type Keyword struct {
	Name  string // in lower case, as ssh -G prints it
	Class Class
}

// Keywords lists every keyword that is read, aliases included, in the order of
// the table that follows the output of ssh -G.
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

// A keyword is a row of the table: how its arguments are read and what OpenSSH
// puts where nothing is said.
type keyword struct {
	name     string
	op       op
	class    Class
	read     func(*line) error
	standard string // as ssh -G prints it; "" when ssh -G prints nothing
	aliases  []string
}
