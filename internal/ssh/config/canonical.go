package config

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// lookupSystem asks the system's resolver.
func lookupSystem(ctx context.Context, name string) (string, bool, error) {
	canonical, err := net.DefaultResolver.LookupCNAME(ctx, name)
	if dns, ok := errors.AsType[*net.DNSError](err); ok && dns.IsNotFound {
		return "", false, nil
	}
	return strings.TrimSuffix(canonical, "."), err == nil, err
}

// canonicalize replaces the host by the name that CanonicalizeHostname and its
// friends say, and addresses by their usual form (ssh.c, main and
// resolve_canonicalize).
func (e *evaluation) canonicalize() error {
	if looksLikeAddress(e.host) {
		e.host = canonicalAddress(e.host, e.text(opAddressFamily))
		return nil
	}
	e.host = lower(e.host)
	mode, direct := e.text(opCanonicalizeHostname), e.direct()
	if mode == "" || mode == "false" || !direct && mode != "always" {
		return nil
	}
	done, err := e.tryDomains()
	// A name may still be followed when it was not completed.
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

// direct says that neither ProxyCommand nor ProxyJump stands between.
func (e *evaluation) direct() bool {
	command := e.text(opProxyCommand)
	return (command == "" || strings.EqualFold(command, "none")) && len(e.values.jumps()) == 0
}

// tryDomains completes the host's name and says whether it did.
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

// notFound is an error unless CanonicalizeFallbackLocal lets the name stand. A
// look-up that failed, or was ended by its caller, is never taken for "no such
// name" without that leave.
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

// follow takes a canonical name when CanonicalizePermittedCNAMEs allows it
// (ssh.c, check_follow_cname).
func (e *evaluation) follow(canonical string) {
	if canonical == "" || canonical == e.host {
		return
	}
	for _, rule := range e.rules() {
		if matchListFold(e.host, rule.source) && matchListFold(lower(canonical), rule.target) {
			e.host = canonical
			return
		}
	}
}

// looksLikeAddress says that a name can only be an address (ssh.c, is_addr).
func looksLikeAddress(host string) bool {
	if strings.ContainsAny(host, "%:") || strings.Trim(host, "0123456789.") == "" {
		return true
	}
	_, ok := parseInet(host)
	return ok
}

// canonicalAddress gives the usual form of an address, or the text as it is
// when it is none of the wanted family.
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

// parseInet reads the old forms of IPv4 addresses that getaddrinfo(3) takes:
// one to four numbers, decimal, octal or hexadecimal, the last of which fills
// what the others leave (inet_aton(3)).
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
		if part == "" || part[0] < '0' || part[0] > '9' || strings.ContainsAny(part, "_oObB") && !strings.HasPrefix(lower(part), "0x") {
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
