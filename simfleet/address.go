package simfleet

import (
	"encoding/binary"
	"net"
	"net/netip"
)

// address is where host i listens: firstHost + i, read as a 32-bit number.
func address(i int) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], firstHost+uint32(i)) // i < MaxHosts
	return netip.AddrFrom4(b)
}

// hostAt is the inverse of address, for a fleet of n hosts.
func hostAt(a net.Addr, n int) (int, bool) {
	tcp, ok := a.(*net.TCPAddr)
	if !ok {
		return 0, false
	}
	ip := tcp.IP.To4()
	if ip == nil || !ip.IsLoopback() {
		return 0, false
	}
	return indexOf([4]byte(ip), n)
}

func indexOf(ip [4]byte, n int) (int, bool) {
	i := int64(binary.BigEndian.Uint32(ip[:])) - firstHost
	return int(i), i >= 0 && i < int64(n)
}
