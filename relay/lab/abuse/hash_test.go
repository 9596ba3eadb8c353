package abuse

import (
	"encoding/binary"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"hearsay/directory"
)

// TestAbuseHashFloodNeedsAKey: whoever chooses identifiers finds no hash here
// that he can compute. Go's maps are keyed anew for each map; other hashes that
// are fast and have no key do not belong into tables of what peers name.
func TestAbuseHashFloodNeedsAKey(t *testing.T) {
	unkeyed := []string{"hash/fnv", "hash/crc32", "hash/crc64", "hash/adler32"}
	seen := 0
	for _, dir := range []string{"circuit", "relay", "directory"} {
		err := filepath.WalkDir(filepath.Join("..", "..", "..", dir), func(path string, d fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			seen++
			f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
			if err != nil {
				return err
			}
			for _, i := range f.Imports {
				if name, _ := strconv.Unquote(i.Path.Value); slices.Contains(unkeyed, name) {
					t.Errorf("%s imports %s", path, name)
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if seen < 100 {
		t.Fatalf("only %d files", seen)
	}
}

// TestAbuseHashFlood looks identities up that were chosen to be alike, in a
// view of as many: it takes no longer than with random ones.
func TestAbuseHashFlood(t *testing.T) {
	n := size(2000, 100_000)
	lookups := func(id func(i int) directory.RelayID) quantiles {
		relays := make([]directory.Relay, n)
		for i := range relays {
			relays[i].ID = id(i)
		}
		v := directory.InsecureView(directory.NetworkID{1}, true, time.Now(), relays)
		var all []time.Duration
		const together = 256 // a single one is too short to be timed
		for i := 0; i+together <= n; i += together {
			began := time.Now()
			for j := range together {
				if _, ok := v.Relay(relays[i+j].ID); !ok {
					t.Fatal("not found")
				}
			}
			all = append(all, time.Since(began)/together)
		}
		slices.Sort(all)
		return quantiles{N: len(all), P50: all[len(all)/2], P95: all[len(all)*99/100], Max: all[len(all)-1]}
	}
	random := lookups(func(i int) (id directory.RelayID) {
		for j := range 4 {
			binary.LittleEndian.PutUint64(id[8*j:], uint64(i+1)*0x9E3779B97F4A7C15^uint64(j)<<50)
		}
		return id
	})
	chosen := lookups(func(i int) (id directory.RelayID) {
		binary.BigEndian.PutUint32(id[12:], uint32(i)<<8) // of the 16 bytes that are the key
		return id
	})
	timed(t, strconv.Itoa(n)+" chosen identifiers: lookup, p99", chosen.P95, 3*random.P95, "(random: "+random.P95.String()+")")
}
