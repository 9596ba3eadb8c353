package sybil

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/gaissmai/bart"
)

// MaxASTable bounds an AS table, in bytes: today's whole routing table takes a
// third of it.
const MaxASTable = 64 << 20

// ErrBadASTable is returned for an AS table that does not parse.
var ErrBadASTable = errors.New("sybil: AS table is not valid")

// ASTable tells the autonomous system of an address. It is immutable and safe
// for concurrent use.
type ASTable struct {
	hash  [32]byte
	table bart.Table[uint32]
}

// ParseASTable reads lines of `prefix asn`, such as `192.0.2.0/24 64500`. Empty
// lines and those that begin with # are skipped; of two lines with one prefix
// the later counts (SPEC.md §2.3).
func ParseASTable(raw []byte) (*ASTable, error) {
	if len(raw) > MaxASTable {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrBadASTable, len(raw), MaxASTable)
	}
	t := &ASTable{hash: sha256.Sum256(raw)}
	lines := bufio.NewScanner(bytes.NewReader(raw))
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		f := strings.Fields(line)
		if len(f) != 2 {
			return nil, fmt.Errorf("%w: line %d is not a prefix and a number", ErrBadASTable, n)
		}
		p, err := netip.ParsePrefix(f[0])
		if err != nil || p.Addr().Is4In6() {
			return nil, fmt.Errorf("%w: line %d: prefix", ErrBadASTable, n)
		}
		as, err := strconv.ParseUint(f[1], 10, 32)
		if err != nil || as == 0 {
			return nil, fmt.Errorf("%w: line %d: number", ErrBadASTable, n)
		}
		t.table.Insert(p.Masked(), uint32(as))
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrBadASTable, err)
	}
	return t, nil
}

// Hash returns the SHA-256 of the text, which the network file names.
func (t *ASTable) Hash() [32]byte { return t.hash }

// Lookup returns the number of the AS that announces the address, or 0.
func (t *ASTable) Lookup(a netip.Addr) uint32 {
	as, _ := t.table.Lookup(a.Unmap())
	return as
}
