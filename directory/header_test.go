package directory

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestHeaderRules(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	s, err := NewSnapshot(n.chain, n.log, testTime, Judge(JudgeInput{Chain: n.chain, ValidAfter: testTime}))
	check(t, err)
	edits := map[string]func(*Header){
		"epoch 0":               func(h *Header) { h.Epoch = 0 },
		"epoch of another time": func(h *Header) { h.Epoch++ },
		"epoch length of 10 s":  func(h *Header) { h.NextEpoch = labEpoch },
		"fresh for ever":        func(h *Header) { h.FreshUntil = h.FreshUntil.Add(time.Second) },
		"valid for ever":        func(h *Header) { h.ValidUntil = h.ValidUntil.Add(time.Second) },
		"not small":             func(h *Header) { h.Flags &^= HeaderSmall },
		"too many relays":       func(h *Header) { h.N, h.Flags = maxEntries+1, 0 },
		"file version 0":        func(h *Header) { h.FileVersion = 0 },
		"log without the file":  func(h *Header) { h.LogSize = 0 },
		"log out of range":      func(h *Header) { h.LogSize = maxLogSize + 1 },
		"no random value":       func(h *Header) { h.SRVs = nil },
		"eleven random values":  func(h *Header) { h.SRVs = make([]SRV, 11) },
		"nine random values":    func(h *Header) { h.SRVs = h.SRVs[1:] },
		"a round left out":      func(h *Header) { h.SRVs = slices.Clone(h.SRVs); h.SRVs[3].Round++ },
		"values of the next rounds": func(h *Header) {
			h.SRVs = slices.Clone(h.SRVs)
			for i := range h.SRVs {
				h.SRVs[i].Round++
			}
		},
		"ten votes":                  func(h *Header) { h.Votes = make([][32]byte, 10) },
		"a vote twice":               func(h *Header) { h.Votes = make([][32]byte, 2) },
		"17 abandoned":               func(h *Header) { h.Abandoned = make([][32]byte, 17) },
		"abandoned twice":            func(h *Header) { h.Abandoned = make([][32]byte, 2) },
		"recommended not rising":     func(h *Header) { h.Recommended = []string{"b", "a"} },
		"recommended with an escape": func(h *Header) { h.Recommended = []string{"\x1b[2J"} },
		"recommended too long":       func(h *Header) { h.Recommended = []string{strings.Repeat("x", 25)} },
		"flag lab of another time":   func(h *Header) { h.Flags |= HeaderLab },
	}
	for name, edit := range edits {
		h := s.Header
		edit(&h)
		if _, err := h.encode(); !errors.Is(err, ErrBadHeader) {
			t.Errorf("%s: %v", name, err)
		}
	}
	full := s.Header
	full.Votes = [][32]byte{{1}, {2}}
	full.Abandoned = [][32]byte{{1}}
	full.Recommended = []string{"hearsay 0.1", "hearsay 0.2"}
	full.ext = extensions{7: {1}}
	b, err := full.encode()
	check(t, err)
	got, err := parseHeader(b)
	if err != nil || len(got.Votes) != 2 || len(got.Abandoned) != 1 || len(got.Recommended) != 2 {
		t.Fatalf("%+v %v", got, err)
	}
	full.ext = extensions{7: make([]byte, 127)}
	b, err = full.encode()
	check(t, err)
	if _, err := parseHeader(b); !errors.Is(err, ErrTooLarge) {
		t.Errorf("extensions of 129 bytes: %v", err)
	}
}

func TestTableRules(t *testing.T) {
	bad := map[string]Tables{
		"families not rising":  {Families: [][32]byte{{2}, {1}}},
		"an AS twice":          {ASes: []uint32{1, 1}},
		"ASes not rising":      {ASes: []uint32{2, 1}},
		"software not rising":  {Software: []string{"b", "a"}},
		"empty software":       {Software: []string{""}},
		"256 protocol lists":   {Protocols: make([][]uint16, 256)},
		"empty protocol list":  {Protocols: [][]uint16{{}}},
		"protocols not rising": {Protocols: [][]uint16{{2, 1}}},
		"lists not rising":     {Protocols: [][]uint16{{2}, {1}}},
	}
	for name, x := range bad {
		if _, err := x.encode(); !errors.Is(err, ErrBadTables) {
			t.Errorf("%s: %v", name, err)
		}
	}
	good := Tables{
		Families: [][32]byte{{1}, {2}}, ASes: []uint32{7, 9}, Software: []string{"a", "b"},
		Protocols: [][]uint16{{1}, {1, 2}}, Rules: map[uint16]uint32{1: 3, 5: 1},
	}
	b, err := good.encode()
	check(t, err)
	if got, err := parseTables(b); err != nil || len(got.Rules) != 2 || len(got.ASes) != 2 {
		t.Fatalf("%+v %v", got, err)
	}
}

func TestCertificateRules(t *testing.T) {
	n := newNetwork(t, false, JoinToken)
	good := Certificate{Online: publicOf(n.online), NotBefore: testTime, NotAfter: testTime.Add(MaxCertificateLife), Seq: 1}
	if _, err := good.Sign(n.id, n.signer); err != nil {
		t.Fatal(err)
	}
	for name, edit := range map[string]func(*Certificate){
		"91 days":           func(c *Certificate) { c.NotAfter = c.NotAfter.Add(24 * time.Hour) },
		"ends first":        func(c *Certificate) { c.NotAfter = c.NotBefore },
		"number 0":          func(c *Certificate) { c.Seq = 0 },
		"key of low order":  func(c *Certificate) { c.Online = [32]byte{1} },
		"before the era":    func(c *Certificate) { c.NotBefore = time.Unix(-1, 0); c.NotAfter = time.Unix(9, 0) },
		"key not canonical": func(c *Certificate) { c.Online = [32]byte{0xed}; c.Online = withTail(c.Online) },
	} {
		c := good
		edit(&c)
		if _, err := c.Sign(n.id, n.signer); !errors.Is(err, ErrBadCertificate) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// withTail makes y = p + (first byte − 0xed).
func withTail(y [32]byte) [32]byte {
	for i := 1; i < 31; i++ {
		y[i] = 0xff
	}
	y[31] = 0x7f
	return y
}
