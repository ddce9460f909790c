package hostkeys

import (
	"encoding/base64"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ssh"
)

const goodKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ7bZkJ1HCGCDsbgCHqHFu1jR9tbYQnBTg0a8S1ew5EH"

func TestParseLine(t *testing.T) {
	for _, c := range []struct {
		line  string
		names string // "" means none
		mark  marker
	}{
		{"", "", markNone},
		{" \t", "", markNone},
		{"\r", "", markNone},
		{"# comment", "", markNone},
		{"  # comment", "", markNone},
		{"a " + goodKey, "a", markNone},
		{"a,b\t" + goodKey + " comment with words", "a,b", markNone},
		{"  a  " + goodKey + "\r", "a", markNone},
		{"@revoked * " + goodKey, "*", markRevoked},
		{"@cert-authority\t*.example.net " + goodKey, "*.example.net", markCA},
	} {
		e, err := parseLine([]byte(c.line))
		switch {
		case err != nil:
			t.Errorf("parseLine(%q): %v", c.line, err)
		case e == nil:
			if c.names != "" {
				t.Errorf("parseLine(%q) finds nothing", c.line)
			}
		case e.names != c.names || e.mark != c.mark || ssh.FingerprintSHA256(e.key) == "":
			t.Errorf("parseLine(%q) = %q, mark %v", c.line, e.names, e.mark)
		}
	}
}

func TestParseLineRefuses(t *testing.T) {
	for _, c := range []struct{ line, cause string }{
		{"a", "names, key type and key expected"},
		{"a ssh-ed25519", "names, key type and key expected"},
		{"@banned a " + goodKey, `unknown marker "@banned"`},
		{"@cert-authority @cert-authority a " + goodKey, "more than one marker"},
		{"@revoked a ssh-new " + encode("ssh-new", "x"), `parsing the key of type "ssh-new"`}, // no server can present such a key
		{"a ssh-ed25519 AAAA!", "decoding the key"},
		{"a ssh-ed25519 AAAA", "the key is cut short"},
		{"a ssh-rsa " + strings.Fields(goodKey)[1], `the key says that it is "ssh-ed25519", the line says "ssh-rsa"`},
		{"a ssh-ed25519 " + encode("ssh-ed25519", "short"), "parsing the key"},
		{"a ssh-new " + encode("ssh-new", "x"), `parsing the key of type "ssh-new"`},
		{"a\x00b " + goodKey, "a NUL byte"},
	} {
		e, err := parseLine([]byte(c.line))
		if err == nil || !strings.Contains(err.Error(), c.cause) {
			t.Errorf("parseLine(%q) = %v, %v; want %q", c.line, e, err, c.cause)
		}
	}
}

// A revocation line is never ignored: either every key of its names is refused, or, if these
// cannot be read, the file.
func TestParseLineThatRevokes(t *testing.T) {
	ed := strings.Fields(goodKey)[1]
	for _, c := range []struct{ line, names, cause string }{
		{"@revoked a,b", "a,b", "names, key type and key expected"},
		{"@revoked a,b ssh-ed25519", "a,b", "names, key type and key expected"},
		{"@revoked * ssh-ed25519 AAAA!", "*", "decoding the key"},
		{"@revoked * ssh-ed25519 AAAA", "*", "the key is cut short"},
		{"@revoked * ssh-rsa " + ed, "*", "the line says"},
		{"@revoked * ssh-ed25519 " + encode("ssh-ed25519", "short"), "*", "parsing the key"},
		{"@revoked a 1024 35 12345", "a", "decoding the key"},
		{"@revoked @cert-authority a " + goodKey, "a", "more than one marker"},
		{"@cert-authority @revoked a " + goodKey, "a", "more than one marker"},
		{"@banned @revoked a " + goodKey, "a", `unknown marker "@banned"`},
		{"@revoked a ssh-ed25519 " + ed + "\x00", "a", "a NUL byte"},
		{"@revoked * ssh-ed25519-cert-v01@openssh.com " + encode(ssh.CertAlgoED25519v01, "x"), "*", "parsing the key"},

		{"@revoked", "", "names, key type and key expected"},
		{"@revoked " + goodKey, "", "names, key type and key expected"}, // no names: the key's type is in their place
		{"@revoked ssh-ed25519-cert-v01@openssh.com AAAA", "", "names, key type and key expected"},
		{"@revoked a\x00b " + goodKey, "", "a NUL byte"},
		{"@revoked @revoked", "", "more than one marker"},
	} {
		e, err := parseLine([]byte(c.line))
		if c.names != "" {
			if err != nil || e == nil || e.mark != markRevoked || e.names != c.names || e.unread == nil || e.key != nil {
				t.Errorf("parseLine(%q) = %+v, %v; want an unreadable line for %s", c.line, e, err, c.names)
				continue
			}
			err = e.unread
		} else if _, lost := errors.AsType[lostRevocation](err); !lost || e != nil {
			t.Errorf("parseLine(%q) = %v, %v; want a lost revocation", c.line, e, err)
		}
		if err == nil || !strings.Contains(err.Error(), c.cause) {
			t.Errorf("parseLine(%q): %v, want %q", c.line, err, c.cause)
		}
	}
}

// K05: a certificate is refused by its type, before anything in it is parsed.
// faults.md: K05
func TestParseLineRefusesCertificatesUnparsed(t *testing.T) {
	types := []string{
		ssh.CertAlgoRSAv01, ssh.CertAlgoRSASHA256v01, ssh.CertAlgoRSASHA512v01, ssh.CertAlgoED25519v01,
		ssh.CertAlgoECDSA256v01, ssh.CertAlgoECDSA384v01, ssh.CertAlgoECDSA521v01,
		ssh.CertAlgoSKED25519v01, ssh.CertAlgoSKECDSA256v01,
		ssh.CertAlgoMLDSA44v01Go, ssh.CertAlgoMLDSA65v01Go, ssh.CertAlgoMLDSA87v01Go,
	}
	for _, name := range types {
		nested := name
		for range 100 {
			nested = string(binary.BigEndian.AppendUint32(nil, uint32(len(nested)))) + nested
		}
		_, err := parseLine([]byte("a " + name + " " + encode(name, nested)))
		if err == nil || !strings.Contains(err.Error(), "a certificate cannot stand in known_hosts") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func encode(keyType, rest string) string {
	blob := binary.BigEndian.AppendUint32(nil, uint32(len(keyType)))
	return base64.StdEncoding.EncodeToString(append(append(blob, keyType...), rest...))
}

func FuzzLine(f *testing.F) {
	f.Add([]byte("a,b,[c]:22 " + goodKey + " comment"))
	f.Add([]byte("@revoked *,!d.? " + goodKey))
	f.Add([]byte("|1|AAAAAAAAAAAAAAAAAAAAAAAAAAA=|AAAAAAAAAAAAAAAAAAAAAAAAAAA= " + goodKey))
	f.Add([]byte("a ssh-rsa-cert-v01@openssh.com " + encode(ssh.CertAlgoRSAv01, "x")))
	f.Add([]byte("@ @ #"))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, err := parseLine(line)
		if err != nil {
			if e != nil {
				t.Fatal("an entry beside an error")
			}
			return
		}
		if e == nil || e.unread != nil {
			return
		}
		// Formatting and parsing again yields the same entry.
		marks := map[marker]string{markCA: "@cert-authority ", markRevoked: "@revoked "}
		again, err := parseLine([]byte(marks[e.mark] + e.names + " " + string(ssh.MarshalAuthorizedKey(e.key)[:])))
		if err == nil && (again.names != e.names || again.mark != e.mark || again.blob != e.blob) {
			t.Fatalf("read %v, then %v", e, again)
		}
		x := newIndex()
		if x.add(e) == nil {
			x.lookup("a")
		}
	})
}
