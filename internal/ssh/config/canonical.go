package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"shoal/internal/ssh/match"
)

// lookupSystem looks up a canonical name with the system's resolver.
func lookupSystem(ctx context.Context, name string) (string, bool, error) {
	canonical, err := net.DefaultResolver.LookupCNAME(ctx, name)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "", false, nil
	}
	return strings.TrimSuffix(canonical, "."), err == nil, err
}

// canonicalize replaces the host name as the CanonicalizeHostname options specify, and an
// address by its canonical form (ssh.c, main and resolve_canonicalize).
func (e *evaluation) canonicalize() error {
	if looksLikeAddress(e.host) {
		e.host = canonicalAddress(e.host, e.text(opAddressFamily))
		return nil
	}
	e.host = match.Lower(e.host)
	mode, direct := e.text(opCanonicalizeHostname), e.direct()
	if mode == "" || mode == "false" || !direct && mode != "always" {
		return nil
	}
	done, err := e.tryDomains()
	// A CNAME may be followed even if no domain was appended.
	if err != nil || done || len(e.rules()) == 0 {
		return err
	}
	canonical, found, err := e.config.lookup(e.ctx, e.host)
	switch {
	case err != nil && direct:
		return fmt.Errorf("looking up %.80q: %w", e.host, err)
	case !found && direct:
		return fmt.Errorf("looking up %.80q: no such host", e.host)
	case !found:
		return nil
	}
	e.follow(canonical)
	return nil
}

// direct reports whether neither ProxyCommand nor ProxyJump is used.
func (e *evaluation) direct() bool {
	command := e.text(opProxyCommand)
	return (command == "" || strings.EqualFold(command, "none")) && len(e.values.jumps()) == 0
}

// tryDomains appends domains to the host name and reports whether one was found.
func (e *evaluation) tryDomains() (bool, error) {
	if name, anchored := strings.CutSuffix(e.host, "."); anchored {
		canonical, found, err := e.config.lookup(e.ctx, e.host)
		if found && err == nil {
			e.host = name
			e.follow(canonical)
			return true, nil
		}
		return false, e.notFound(err)
	}
	dots := int64(1)
	if s := e.values.first[opCanonicalizeMaxDots]; s != nil {
		dots = s.num
	}
	if int64(strings.Count(e.host, ".")) > dots {
		return false, nil
	}
	var domains []string
	if s := e.values.first[opCanonicalDomains]; s != nil && s.list[0] != "none" {
		domains = s.list
	}
	var failed error
	for _, domain := range domains {
		name := e.host + "." + domain
		canonical, found, err := e.config.lookup(e.ctx, name+".")
		if err != nil {
			failed = err
		}
		if found && err == nil {
			e.host = name
			e.follow(canonical)
			return true, nil
		}
	}
	return false, e.notFound(failed)
}

// notFound returns an error unless CanonicalizeFallbackLocal allows the name as it is. A lookup
// that failed or was cancelled counts as "no such name" only with that option.
func (e *evaluation) notFound(err error) error {
	if e.ctx.Err() != nil {
		return context.Cause(e.ctx)
	}
	if e.text(opCanonicalizeFallbackLocal) != "no" {
		return nil
	}
	if err == nil {
		err = errors.New("not found in any of CanonicalDomains")
	}
	return fmt.Errorf("looking up %.80q: %w", e.host, err)
}

func (e *evaluation) rules() []cnameRule {
	if s := e.values.first[opCanonicalizePermittedCNAMEs]; s != nil {
		rules, _ := s.value.([]cnameRule)
		return rules
	}
	return nil
}

// follow uses the canonical name if CanonicalizePermittedCNAMEs allows it (ssh.c,
// check_follow_cname).
func (e *evaluation) follow(canonical string) {
	if canonical == "" || canonical == e.host {
		return
	}
	for _, rule := range e.rules() {
		if matchListFold(e.host, rule.source) && matchListFold(match.Lower(canonical), rule.target) {
			e.host = canonical
			return
		}
	}
}

// looksLikeAddress reports whether a name can only be an address (ssh.c, is_addr).
func looksLikeAddress(host string) bool {
	if strings.ContainsAny(host, "%:") || strings.Trim(host, "0123456789.") == "" {
		return true
	}
	_, ok := parseInet(host)
	return ok
}

// canonicalAddress returns the canonical form of an address of the wanted family; it returns
// any other text unchanged.
func canonicalAddress(host, family string) string {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		var ok bool
		if addr, ok = parseInet(host); !ok {
			return host
		}
	}
	if family == "inet" && !addr.Is4() || family == "inet6" && addr.Is4() {
		return host
	}
	return addr.String()
}

// parseInet parses the legacy forms of IPv4 addresses that getaddrinfo(3) accepts: one to four
// numbers, decimal, octal or hexadecimal; the last fills the remaining bytes (inet_aton(3)).
func parseInet(s string) (netip.Addr, bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 4 {
		return netip.Addr{}, false
	}
	var sum uint64
	for i, part := range parts {
		bits := 8
		if i == len(parts)-1 {
			bits = 8 * (5 - len(parts))
		}
		if part == "" || part[0] < '0' || part[0] > '9' || strings.ContainsAny(part, "_oObB") && !strings.HasPrefix(match.Lower(part), "0x") {
			return netip.Addr{}, false
		}
		n, err := strconv.ParseUint(part, 0, bits)
		if err != nil || strings.Contains(part, "_") {
			return netip.Addr{}, false
		}
		sum = sum<<bits | n
	}
	return netip.AddrFrom4([4]byte{byte(sum >> 24), byte(sum >> 16), byte(sum >> 8), byte(sum)}), true
}
