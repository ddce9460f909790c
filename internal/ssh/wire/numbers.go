package wire

import "fmt"

// Message numbers (RFC 4250 §4.1.2), and those of later documents as noted.
const (
	msgDisconnect      = 1
	msgIgnore          = 2
	msgUnimplemented   = 3
	msgDebug           = 4
	msgServiceRequest  = 5
	msgServiceAccept   = 6
	msgExtInfo         = 7 // RFC 8308 §2.3
	msgKexInit         = 20
	msgNewKeys         = 21
	msgKexInitMethod   = 30 // SSH_MSG_KEX_ECDH_INIT (RFC 5656 §7.1), SSH_MSG_KEX_HYBRID_INIT
	msgKexReplyMethod  = 31 // SSH_MSG_KEX_ECDH_REPLY, SSH_MSG_KEX_HYBRID_REPLY
	msgUserAuthRequest = 50
	msgUserAuthFailure = 51
	msgUserAuthSuccess = 52
	msgUserAuthBanner  = 53
	msgUserAuthMethod  = 60 // PK_OK, PASSWD_CHANGEREQ (RFC 4252 §7, §8), INFO_REQUEST (RFC 4256 §3.2)
	msgUserAuthAnswer  = 61 // INFO_RESPONSE (RFC 4256 §3.4)

	msgGlobalRequest       = 80
	msgRequestSuccess      = 81
	msgRequestFailure      = 82
	msgChannelOpen         = 90
	msgChannelOpenConfirm  = 91
	msgChannelOpenFailure  = 92
	msgChannelWindowAdjust = 93
	msgChannelData         = 94
	msgChannelExtendedData = 95
	msgChannelEOF          = 96
	msgChannelClose        = 97
	msgChannelRequest      = 98
	msgChannelSuccess      = 99
	msgChannelFailure      = 100

	msgPing = 192 // PROTOCOL of OpenSSH, ping@openssh.com
	msgPong = 193
)

var messageNames = map[byte]string{
	msgDisconnect:          "DISCONNECT",
	msgIgnore:              "IGNORE",
	msgUnimplemented:       "UNIMPLEMENTED",
	msgDebug:               "DEBUG",
	msgServiceRequest:      "SERVICE_REQUEST",
	msgServiceAccept:       "SERVICE_ACCEPT",
	msgExtInfo:             "EXT_INFO",
	msgKexInit:             "KEXINIT",
	msgNewKeys:             "NEWKEYS",
	msgKexInitMethod:       "KEX_INIT",
	msgKexReplyMethod:      "KEX_REPLY",
	msgUserAuthRequest:     "USERAUTH_REQUEST",
	msgUserAuthFailure:     "USERAUTH_FAILURE",
	msgUserAuthSuccess:     "USERAUTH_SUCCESS",
	msgUserAuthBanner:      "USERAUTH_BANNER",
	msgUserAuthMethod:      "USERAUTH_60",
	msgUserAuthAnswer:      "USERAUTH_INFO_RESPONSE",
	msgGlobalRequest:       "GLOBAL_REQUEST",
	msgRequestSuccess:      "REQUEST_SUCCESS",
	msgRequestFailure:      "REQUEST_FAILURE",
	msgChannelOpen:         "CHANNEL_OPEN",
	msgChannelOpenConfirm:  "CHANNEL_OPEN_CONFIRMATION",
	msgChannelOpenFailure:  "CHANNEL_OPEN_FAILURE",
	msgChannelWindowAdjust: "CHANNEL_WINDOW_ADJUST",
	msgChannelData:         "CHANNEL_DATA",
	msgChannelExtendedData: "CHANNEL_EXTENDED_DATA",
	msgChannelEOF:          "CHANNEL_EOF",
	msgChannelClose:        "CHANNEL_CLOSE",
	msgChannelRequest:      "CHANNEL_REQUEST",
	msgChannelSuccess:      "CHANNEL_SUCCESS",
	msgChannelFailure:      "CHANNEL_FAILURE",
	msgPing:                "PING",
	msgPong:                "PONG",
}

// messageName returns the readable name of a message number.
func messageName(number byte) string {
	if name, ok := messageNames[number]; ok {
		return name
	}
	return fmt.Sprintf("message %d", number)
}
