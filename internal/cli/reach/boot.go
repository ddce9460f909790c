package reach

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strconv"
	"strings"
	"time"

	"shoal/internal/hint"
	"shoal/internal/plainfile"
)

// bootPrefix stands before a boot identifier in the answer, so that text of login scripts is
// none.
const bootPrefix = "shoal-boot-id "

// bootCommand prints the boot identifier: Linux's, that of macOS, or the time of the boot. It is
// the same text for every login shell. NetBSD and OpenBSD print the time in the time zone of TZ.
const bootCommand = `/bin/sh -c 'exec 2>/dev/null; PATH=$PATH:/sbin:/usr/sbin; printf "shoal-boot-id %s\n" "$(cat /proc/sys/kernel/random/boot_id || sysctl -n kern.bootsessionuuid || TZ=UTC0 sysctl -n kern.boottime)"'`

var (
	uuidForm     = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)
	boottimeForm = regexp.MustCompile(`^\{ sec = ([0-9]{1,12}), usec = [0-9]{1,6} \}`)
)

const bootedAt = "booted-at-"

// bootID returns the identifier in the output of bootCommand. "" means that it has no well-formed
// one.
func bootID(output []byte) string {
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

// readBoots reads a file that writeBoots wrote.
func readBoots(path string) (bootBook, error) {
	file, err := plainfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("opening the boot identifiers: %w", err)
	}
	defer func() { _ = file.Close() }()
	book := make(bootBook)
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		name, id, ok := strings.Cut(lines.Text(), " ")
		_, isTime := bootTime(id)
		if !ok || !uuidForm.MatchString(id) && !isTime {
			return nil, hint.Wrap(fmt.Errorf("reading the boot identifiers: line %d of %q is not a host and its identifier", n, path),
				"write the file with shoal wait --save")
		}
		book[name] = id
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading the boot identifiers: %w", err)
	}
	return book, nil
}

// createBoots creates the file of --save, which must not exist.
func createBoots(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		return nil, hint.Wrap(fmt.Errorf("%q exists already, and is not overwritten", path), "remove it, or name another file")
	}
	if err != nil {
		return nil, fmt.Errorf("creating the file of boot identifiers: %w", err)
	}
	return file, nil
}

// writeBoot writes the line of one host.
func writeBoot(w io.Writer, name, id string) error {
	if _, err := fmt.Fprintf(w, "%s %s\n", name, id); err != nil {
		return fmt.Errorf("writing the boot identifiers: %w", err)
	}
	return nil
}
