package directory

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// ErrBadAddress is returned for an address that a document must not hold.
var ErrBadAddress = errors.New("directory: address is not usable in this network")

// special lists what is not global unicast for relays: outside of lab networks
// no document may name such an address (SPEC.md §3).
var special = func() []netip.Prefix {
	var ps []netip.Prefix
	for _, s := range []string{
		"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16",
		"198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
		"2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20",
	} {
		ps = append(ps, netip.MustParsePrefix(s))
	}
	return ps
}()

var globalIPv6 = netip.MustParsePrefix("2000::/3")

// CheckAddr tells whether documents of a network may hold the address: global
// unicast, and in lab networks also loopback and private addresses. It returns
// ErrBadAddress wrapped with the reason.
func CheckAddr(a netip.AddrPort, lab bool) error {
	ip := a.Addr()
	switch {
	case !ip.IsValid() || ip.Is4In6() || ip.Zone() != "":
		return fmt.Errorf("%w: %v is no plain IPv4 or IPv6 address", ErrBadAddress, ip)
	case a.Port() == 0:
		return fmt.Errorf("%w: port 0", ErrBadAddress)
	case ip.IsUnspecified() || ip.IsMulticast():
		return fmt.Errorf("%w: %v names no host", ErrBadAddress, ip)
	case ip == netip.AddrFrom4([4]byte{255, 255, 255, 255}):
		return fmt.Errorf("%w: broadcast", ErrBadAddress)
	case lab:
		return nil
	case ip.Is6() && !globalIPv6.Contains(ip):
		return fmt.Errorf("%w: %v is not global unicast", ErrBadAddress, ip)
	}
	for _, p := range special {
		if p.Contains(ip) {
			return fmt.Errorf("%w: %v is in %v, which is not global unicast; only lab networks allow it", ErrBadAddress, ip, p)
		}
	}
	return nil
}

// appendAddr appends the 6 or 18 bytes of an address.
func appendAddr(b []byte, a netip.AddrPort) []byte {
	b = append(b, a.Addr().AsSlice()...)
	return binary.BigEndian.AppendUint16(b, a.Port())
}

// parseAddr reads exactly one address of 6 or 18 bytes.
func parseAddr(b []byte) (netip.AddrPort, error) {
	if len(b) != 6 && len(b) != 18 {
		return netip.AddrPort{}, fmt.Errorf("%w: %d bytes", ErrBadAddress, len(b))
	}
	ip, _ := netip.AddrFromSlice(b[:len(b)-2])
	if ip.Is4In6() {
		return netip.AddrPort{}, fmt.Errorf("%w: IPv4 inside IPv6", ErrBadAddress)
	}
	return netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[len(b)-2:])), nil
}
