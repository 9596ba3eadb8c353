package directory

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
)

// Specification constants of entries (SPEC.md §10).
const (
	entryHead  = 112    // bytes before the addresses
	maxEntries = 50_000 // relays in a snapshot
	allFlags   = 1<<10 - 1
)

// ErrBadEntry is returned for an entry that breaks a rule.
var ErrBadEntry = errors.New("directory: snapshot entry is not valid")

// Entry is one relay of a snapshot as it stands on the wire.
type Entry struct {
	ID         RelayID
	OnionKey   [32]byte
	LinkKey    [32]byte
	OnionEpoch uint32
	Flags      Flags
	Guard      byte // weight codes
	Inner      byte
	Mailbox    byte
	Family, AS uint16 // index in the tables, 0 = none
	Software   byte   // likewise
	Protocol   byte   // likewise
	Addrs      []netip.AddrPort
}

// appendEntry appends the entry: IPv4 addresses first, each family in the order
// of the descriptor.
func appendEntry(b []byte, e *Entry) []byte {
	b = append(b, e.ID[:]...)
	b = append(b, e.OnionKey[:]...)
	b = append(b, e.LinkKey[:]...)
	b = binary.BigEndian.AppendUint32(b, e.OnionEpoch)
	b = binary.BigEndian.AppendUint16(b, uint16(e.Flags))
	b = append(b, e.Guard, e.Inner, e.Mailbox)
	b = binary.BigEndian.AppendUint16(b, e.Family)
	b = binary.BigEndian.AppendUint16(b, e.AS)
	b = append(b, e.Software, e.Protocol, 0)
	counts := len(b) - 1
	for _, a := range e.Addrs {
		if a.Addr().Is4() {
			b = appendAddr(b, a)
			b[counts] += 1 << 4
		}
	}
	for _, a := range e.Addrs {
		if a.Addr().Is6() {
			b = appendAddr(b, a)
			b[counts]++
		}
	}
	return b
}

// parseEntry reads one entry and returns the rest.
func parseEntry(b []byte, lab bool) (Entry, []byte, error) {
	var e Entry
	if len(b) < entryHead {
		return e, nil, fmt.Errorf("%w: truncated", ErrBadEntry)
	}
	e.ID, e.OnionKey, e.LinkKey = RelayID(b[:32]), [32]byte(b[32:64]), [32]byte(b[64:96])
	e.OnionEpoch = binary.BigEndian.Uint32(b[96:])
	e.Flags = Flags(binary.BigEndian.Uint16(b[100:]))
	e.Guard, e.Inner, e.Mailbox = b[102], b[103], b[104]
	e.Family, e.AS = binary.BigEndian.Uint16(b[105:]), binary.BigEndian.Uint16(b[107:])
	e.Software, e.Protocol = b[109], b[110]
	v4, v6 := int(b[111]>>4), int(b[111]&15)
	if e.Flags&^allFlags != 0 || max(e.Guard, e.Inner, e.Mailbox) > maxWeightCode {
		return e, nil, fmt.Errorf("%w: flags or weights", ErrBadEntry)
	}
	if v4+v6 < 1 || v4+v6 > maxAddrs || len(b) < entryHead+6*v4+18*v6 {
		return e, nil, fmt.Errorf("%w: addresses", ErrBadEntry)
	}
	b = b[entryHead:]
	for i := range v4 + v6 {
		size := 6
		if i >= v4 {
			size = 18
		}
		a, err := parseAddr(b[:size])
		if err == nil {
			err = CheckAddr(a, lab)
		}
		if err != nil {
			return e, nil, fmt.Errorf("%w: %w", ErrBadEntry, err)
		}
		e.Addrs = append(e.Addrs, a)
		b = b[size:]
	}
	return e, b, nil
}

// parseEntries reads exactly n entries, rising by id, no id prefix, link key or
// address twice.
func parseEntries(b []byte, n uint64, lab bool) ([]Entry, error) {
	if n > maxEntries || n*entryHead > uint64(len(b)) {
		return nil, fmt.Errorf("%w: %d relays in %d bytes", ErrBadEntry, n, len(b))
	}
	list := make([]Entry, 0, n)
	links := make(map[[32]byte]bool, n)
	addrs := make(map[netip.AddrPort]bool, n)
	for range n {
		e, rest, err := parseEntry(b, lab)
		if err != nil {
			return nil, err
		}
		if k := len(list); k > 0 && bytes.Compare(list[k-1].ID[:16], e.ID[:16]) >= 0 {
			return nil, fmt.Errorf("%w: order", ErrBadEntry)
		}
		if links[e.LinkKey] {
			return nil, fmt.Errorf("%w: one link key of two relays", ErrBadEntry)
		}
		links[e.LinkKey] = true
		for _, a := range e.Addrs {
			if addrs[a] {
				return nil, fmt.Errorf("%w: one address of two relays", ErrBadEntry)
			}
			addrs[a] = true
		}
		list = append(list, e)
		b = rest
	}
	if len(b) != 0 {
		return nil, fmt.Errorf("%w: trailing bytes", ErrBadEntry)
	}
	return list, nil
}

// entriesRoot returns the Merkle root over the entries, each leaf being the
// entry and the three wheels' weights up to and including it, and the totals.
func entriesRoot(list []Entry) (root [32]byte, totals [3]uint64) {
	leaves := make([][32]byte, len(list))
	var buf []byte
	for i := range list {
		e := &list[i]
		totals[0] += Weight(e.Guard)
		totals[1] += Weight(e.Inner)
		totals[2] += Weight(e.Mailbox)
		buf = appendEntry(buf[:0], e)
		for _, t := range totals {
			buf = binary.BigEndian.AppendUint64(buf, t)
		}
		leaves[i] = leafHash(buf)
	}
	return merkleRoot(leaves), totals
}
