package directory

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// Specification constants of tables (SPEC.md §11).
const (
	maxTables    = 1 << 20 // bytes
	maxTableList = 4096    // families, ASes
	maxTableByte = 255     // software, protocols: the index is one byte
)

// ErrBadTables is returned for tables that break a rule.
var ErrBadTables = errors.New("directory: snapshot tables are not valid")

// Tables hold what entries name by an index counted from 1. Each list rises.
type Tables struct {
	Families  [][32]byte // family keys
	ASes      []uint32
	Software  []string
	Protocols [][]uint16
	Rules     map[uint16]uint32 // how many relays each rule kept out
}

type tablesBody struct {
	Families  [][32]byte        `cbor:"1,keyasint,omitempty"`
	ASes      []uint32          `cbor:"2,keyasint,omitempty"`
	Software  []string          `cbor:"3,keyasint,omitempty"`
	Protocols [][]uint16        `cbor:"4,keyasint,omitempty"`
	Rules     map[uint16]uint32 `cbor:"5,keyasint,omitempty"`
}

func (t *Tables) encode() ([]byte, error) {
	if err := t.check(); err != nil {
		return nil, err
	}
	b := tablesBody(*t)
	return encode(&b)
}

func parseTables(raw []byte) (Tables, error) {
	var b tablesBody
	if err := decode(raw, maxTables, &b); err != nil {
		return Tables{}, err
	}
	t := Tables(b)
	return t, t.check()
}

func (t *Tables) check() error {
	switch {
	case len(t.Families) > maxTableList || !rising(t.Families):
		return fmt.Errorf("%w: families", ErrBadTables)
	case len(t.ASes) > maxTableList || !slices.IsSorted(t.ASes) || len(slices.Compact(slices.Clone(t.ASes))) != len(t.ASes):
		return fmt.Errorf("%w: ASes", ErrBadTables)
	case len(t.Software) > maxTableByte || !risingText(t.Software, maxSoftware):
		return fmt.Errorf("%w: software", ErrBadTables)
	case len(t.Protocols) > maxTableByte:
		return fmt.Errorf("%w: protocols", ErrBadTables)
	}
	for i, p := range t.Protocols {
		if len(p) < 1 || len(p) > maxProtocols || i > 0 && slices.Compare(t.Protocols[i-1], p) >= 0 {
			return fmt.Errorf("%w: protocols", ErrBadTables)
		}
		for j := 1; j < len(p); j++ {
			if p[j-1] >= p[j] {
				return fmt.Errorf("%w: protocols", ErrBadTables)
			}
		}
	}
	return nil
}

// covers tells whether every index of the entry is in the tables.
func (t *Tables) covers(e *Entry) bool {
	return int(e.Family) <= len(t.Families) && int(e.AS) <= len(t.ASes) &&
		int(e.Software) <= len(t.Software) && int(e.Protocol) <= len(t.Protocols)
}

func rising(list [][32]byte) bool {
	for i := 1; i < len(list); i++ {
		if bytes.Compare(list[i-1][:], list[i][:]) >= 0 {
			return false
		}
	}
	return true
}

// risingText tells whether the texts are short ASCII, not empty, and rise.
func risingText(list []string, limit int) bool {
	for i, s := range list {
		if s == "" || !asciiText(s, limit) || i > 0 && list[i-1] >= s {
			return false
		}
	}
	return true
}
