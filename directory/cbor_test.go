package directory

import (
	"bytes"
	"encoding/hex"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// sample has one field of each shape that documents use.
type sample struct {
	A uint64            `cbor:"1,keyasint"`
	B [2]byte           `cbor:"2,keyasint"`
	C string            `cbor:"3,keyasint,omitempty"`
	D []uint64          `cbor:"4,keyasint,omitempty"`
	E map[uint64][]byte `cbor:"127,keyasint,omitempty"`
}

func TestOnlyCanonicalCBORIsRead(t *testing.T) {
	good := []string{
		"a201010242abcd",
		"a301010242abcd036161",
		"a301010242abcd048101",
		"a301010242abcd187fa2014102184141" + "03",
	}
	for _, h := range good {
		b, _ := hex.DecodeString(h)
		var s sample
		if err := decode(b, 100, &s); err != nil {
			t.Errorf("%s: %v", h, err)
		}
	}
	bad := map[string]string{
		"long integer":           "a2011801024" + "2abcd",
		"long length":            "a201010258" + "02abcd",
		"keys not sorted":        "a20242abcd0101",
		"key twice":              "a301010101" + "0242abcd",
		"unknown key":            "a301010242abcd0501",
		"text key":               "a301010242abcd616101",
		"indefinite map":         "bf01010242abcdff",
		"indefinite bytes":       "a20101025f41ab41cdff",
		"indefinite text":        "a301010242abcd037f6161ff",
		"indefinite array":       "a301010242abcd049f01ff",
		"tag":                    "a201c1010242abcd",
		"null":                   "a201010242abcdf6",
		"null field":             "a2" + "01f60242abcd",
		"undefined field":        "a201f70242abcd",
		"float":                  "a201f93c000242abcd",
		"short array of bytes":   "a201010241ab",
		"long array of bytes":    "a201010243abcdef",
		"bytes as integers":      "a201010282" + "18ab18cd",
		"empty optional text":    "a301010242abcd0360",
		"empty optional array":   "a301010242abcd0480",
		"invalid UTF-8":          "a301010242abcd0361ff",
		"negative":               "a201200242abcd",
		"trailing byte":          "a201010242abcd00",
		"truncated":              "a201010242ab",
		"empty":                  "",
		"nested nine deep":       "a301010242abcd04" + strings.Repeat("81", 8) + "01",
		"array of four billion":  "a301010242abcd049affffffff",
		"bytes of four billion":  "a20101025affffffffab",
		"map of four billion":    "baffffffff",
		"big integer beyond u64": "a201c249010000000000000000" + "0242abcd",
	}
	for name, h := range bad {
		b, err := hex.DecodeString(h)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		var s sample
		if decode(b, 100, &s) == nil {
			t.Errorf("%s was read: %+v", name, s)
		}
	}
	var s sample
	if err := decode(make([]byte, 101), 100, &s); !errors.Is(err, ErrTooLarge) {
		t.Errorf("101 of 100 bytes: %v", err)
	}
}

// TestHostileCBORIsBounded reads a mebibyte of documents made to cost time
// (TROVE-2020-002, TROVE-2021-001).
func TestHostileCBORIsBounded(t *testing.T) {
	const size = 1 << 20
	n := newNetwork(t, false, JoinToken)
	wrap := func(head string) []byte {
		b := []byte(head)
		return append(b, bytes.Repeat([]byte{0x81}, size-len(b))...)
	}
	many := append([]byte{0x83, 0x9a, 0, 0x0f, 0xff, 0xf0}, bytes.Repeat([]byte{0}, size-6)...)
	keys := []byte{0xb9, 0xff, 0xff}
	for i := 0; len(keys) < size; i++ {
		keys = append(keys, 0x19, byte(i>>8), byte(i), 0)
	}
	strs := []byte{0x83, 0x9a, 0, 0x0f, 0xff, 0xf0}
	for len(strs) < size {
		strs = append(strs, 0x41, 0)
	}
	signatures := []byte{0x83, 0x68}
	signatures = append(signatures, "snapshot"...)
	signatures = append(signatures, 0x40, 0x99, 0x0f, 0xff)
	for len(signatures) < size {
		signatures = append(signatures, 0x82, 0x48, 0, 0, 0, 0, 0, 0, 0, 0, 0x40)
	}
	inputs := map[string][]byte{
		"deep": wrap(""), "deep in wrapper": wrap("\x83\x68snapshot"), "elements": many, "keys": keys,
		"strings": strs, "signatures": signatures, "bytes": append([]byte{0x83, 0x5a, 0, 0x0f, 0xff, 0xf0}, make([]byte, size)...),
	}
	readers := map[string]func([]byte) error{
		"network":    func(b []byte) error { _, err := VerifyChain(n.id, [][]byte{b}, testTime); return err },
		"descriptor": func(b []byte) error { _, err := ParseRecord(n.chain.Rules(), b, testTime); return err },
		"snapshot":   func(b []byte) error { _, err := ParseSnapshot(b); return err },
		"head":       func(b []byte) error { _, err := ParseHead(b); return err },
		"tables":     func(b []byte) error { _, err := parseTables(b); return err },
		"link":       func(b []byte) error { _, err := ParseNetworkLink(linkPrefix + string(b)); return err },
		"ledger":     func(b []byte) error { _, err := ParseLedger(b); return err },
	}
	for rn, read := range readers {
		for in, b := range inputs {
			best := time.Hour
			for range 3 {
				start := time.Now()
				if read(b) == nil {
					t.Fatalf("%s read %s", rn, in)
				}
				best = min(best, time.Since(start))
			}
			if best > 50*time.Millisecond {
				t.Errorf("%s took %v for %s", rn, best, in)
			}
			if n := testing.AllocsPerRun(1, func() { _ = read(b) }); n > 20_000 {
				t.Errorf("%s allocated %v times for %s", rn, n, in)
			}
		}
	}
}

func TestLabelsAreUnique(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "labels.go", nil, 0)
	check(t, err)
	seen := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, e := range v.Values {
			s, err := strconv.Unquote(e.(*ast.BasicLit).Value)
			check(t, err)
			if seen[s] || !strings.HasPrefix(s, labelPrefix) {
				t.Errorf("label %q", s)
			}
			seen[s] = true
		}
		return true
	})
	if len(seen) < 10 {
		t.Errorf("%d labels found", len(seen))
	}
	entries, err := os.ReadDir(".")
	check(t, err)
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), ".go") || strings.HasSuffix(e.Name(), "_test.go") || e.Name() == "labels.go" {
			continue
		}
		b, err := os.ReadFile(e.Name())
		check(t, err)
		if bytes.Contains(b, []byte(`"`+labelPrefix)) {
			t.Errorf("%s spells a label", e.Name())
		}
	}
}
