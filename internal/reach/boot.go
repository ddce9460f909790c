package reach

import (
	"regexp"
	"strconv"
	"strings"
	"time"
)

// bootPrefix stands before a boot identifier in the answer, so that text of login scripts is
// none.
const bootPrefix = "shoal-boot-id "

// BootCommand prints the boot identifier: Linux's, that of macOS, or the time of the boot. It is
// the same text for every login shell. NetBSD and OpenBSD print the time in the time zone of TZ.
const BootCommand = `/bin/sh -c 'exec 2>/dev/null; PATH=$PATH:/sbin:/usr/sbin; printf "shoal-boot-id %s\n" "$(cat /proc/sys/kernel/random/boot_id || sysctl -n kern.bootsessionuuid || TZ=UTC0 sysctl -n kern.boottime)"'`

var (
	uuidForm     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	boottimeForm = regexp.MustCompile(`^\{ sec = ([0-9]{1,12}), usec = [0-9]{1,6} \}`)
)

const bootedAt = "booted-at-"

// BootID returns the identifier in the output of BootCommand. "" means that it has no well-formed
// one.
func BootID(output []byte) string {
	_, text, found := strings.Cut(string(output), bootPrefix)
	if !found {
		return ""
	}
	text, _, found = strings.Cut(text, "\n")
	if !found {
		return "" // it may be cut
	}
	text = strings.TrimSpace(text)
	if lower := strings.ToLower(text); uuidForm.MatchString(lower) {
		return lower
	}
	if m := boottimeForm.FindStringSubmatch(text); m != nil {
		return bootedAt + strings.TrimLeft(m[1], "0")
	}
	if at, err := time.Parse(time.ANSIC, text); err == nil { // NetBSD, OpenBSD
		return bootedAt + strconv.FormatInt(at.Unix(), 10)
	}
	return ""
}

// bootTime returns the time in an identifier that is one.
func bootTime(id string) (time.Time, bool) {
	digits, found := strings.CutPrefix(id, bootedAt)
	seconds, err := strconv.ParseInt(digits, 10, 64)
	return time.Unix(seconds, 0), found && err == nil
}

// WellFormed reports whether id is what BootID may return.
func WellFormed(id string) bool {
	_, isTime := bootTime(id)
	return isTime || uuidForm.MatchString(id)
}
