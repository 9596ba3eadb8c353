package session

import (
	"bytes"
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"golang.org/x/crypto/chacha20poly1305"
)

func testFile(size uint64, relays int) File {
	f := File{Copies: 2, Size: size, Hash: sha256.Sum256([]byte("content")), Until: 77, Name: "plan ü.pdf"}
	f.Key.b = sha256.Sum256([]byte("file key"))
	for i := range relays {
		f.Relays = append(f.Relays, [16]byte{byte(i + 1)})
	}
	return f
}

// fileVector is one FILE with what follows from it, or one FILECTL.
type fileVector struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"` // file, control or block
	Content  hexBytes `json:"content"`
	Expect   string   `json:"expect"`
	Blocks   uint32   `json:"blocks,omitempty"`
	Segments uint32   `json:"segments,omitempty"`
	Number   uint32   `json:"number,omitempty"` // of the block, with Copy and Block
	Copy     byte     `json:"copy,omitempty"`
	Plain    hexBytes `json:"plain,omitempty"`
	Block    hexBytes `json:"block,omitempty"`
	Seed     hexBytes `json:"seed,omitempty"`
	Cap      hexBytes `json:"capability,omitempty"`
}

func makeFileVectors() []fileVector {
	whole := testFile(5_000_000, 4)
	content, _ := whole.Append(nil)
	plain := bytes.Repeat([]byte{0x5a}, FileBlockSize)
	block := whole.Sealer(1).Seal(777, plain)
	seed, capability := whole.Queue(1, 1)
	change := func(at int, b byte) []byte { c := slices.Clone(content); c[at] ^= b; return c }
	control := FileControl{Op: FileWant, File: [16]byte{9}, Ranges: []FileRange{{3, 0, 512}, {4, 17, 1}}}
	want, _ := control.Append(nil)
	control = FileControl{Op: FileMoved, File: [16]byte{9}, Until: 5, Places: []FilePlace{{Segment: 3, Count: 2, Copy: 2, Relay: [16]byte{8}}}}
	moved, _ := control.Append(nil)
	done, _ := (&FileControl{Op: FileDone, File: [16]byte{9}}).Append(nil)
	return []fileVector{
		{Name: "two copies over four relays", Kind: "file", Content: content, Expect: "ok", Blocks: whole.Blocks(), Segments: whole.Segments()},
		{Name: "later version", Kind: "file", Content: change(0, 2), Expect: "format"},
		{Name: "flags", Kind: "file", Content: change(1, 1), Expect: "format"},
		{Name: "no copy", Kind: "file", Content: change(2, 2), Expect: "format"},
		{Name: "other segments", Kind: "file", Content: change(79, 1), Expect: "format"},
		{Name: "too large", Kind: "file", Content: change(36, 1), Expect: "format"},
		{Name: "trailing byte", Kind: "file", Content: append(slices.Clone(content), 0), Expect: "format"},
		{Name: "a relay twice", Kind: "file", Content: change(100, 2^1), Expect: "format"},
		{Name: "name not UTF-8", Kind: "file", Content: change(len(content)-1, 0xff), Expect: "format"},
		{Name: "block", Kind: "block", Content: content, Expect: "ok", Number: 777, Copy: 1, Plain: plain, Block: block[:], Seed: seed[:], Cap: capability[:]},
		{Name: "block of the other copy", Kind: "block", Content: content, Expect: "auth", Number: 777, Block: block[:]},
		{Name: "block in the place of another", Kind: "block", Content: content, Expect: "auth", Number: 778, Copy: 1, Block: block[:]},
		{Name: "want", Kind: "control", Content: want, Expect: "ok"},
		{Name: "moved", Kind: "control", Content: moved, Expect: "ok"},
		{Name: "done", Kind: "control", Content: done, Expect: "ok"},
		{Name: "want of blocks beyond the segment", Kind: "control", Content: func() []byte { c := slices.Clone(want); c[29] = 1; return c }(), Expect: "format"},
		{Name: "moved as a first copy", Kind: "control", Content: func() []byte { c := slices.Clone(moved); c[30] = 1; return c }(), Expect: "format"},
		{Name: "done with a time", Kind: "control", Content: func() []byte { c := slices.Clone(done); c[23] = 1; return c }(), Expect: "format"},
		{Name: "unknown op", Kind: "control", Content: func() []byte { c := slices.Clone(done); c[1] = 5; return c }(), Expect: "format"},
	}
}

// TestFileVectors checks the recorded forms, and their keys by code that shares
// nothing with the package's but the primitives.
func TestFileVectors(t *testing.T) {
	for _, v := range vectors(t, "file.json", makeFileVectors) {
		t.Run(v.Name, func(t *testing.T) {
			if v.Kind == "control" {
				c, err := ParseFileControl(v.Content)
				if class(err) != v.Expect {
					t.Fatalf("class %s (%v), want %s", class(err), err, v.Expect)
				}
				if again, _ := c.Append(nil); err == nil && !bytes.Equal(again, v.Content) {
					t.Error("encodes otherwise")
				}
				return
			}
			f, err := ParseFile(v.Content)
			if v.Kind == "file" {
				if class(err) != v.Expect {
					t.Fatalf("class %s (%v), want %s", class(err), err, v.Expect)
				}
				if err == nil && (f.Blocks() != v.Blocks || f.Segments() != v.Segments) {
					t.Errorf("%d blocks in %d segments", f.Blocks(), f.Segments())
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			plain, err := f.Sealer(v.Copy).Open(nil, v.Number, (*[BlockSize]byte)(v.Block))
			if class(err) != v.Expect || err == nil && !bytes.Equal(plain, v.Plain) {
				t.Fatalf("class %s, want %s", class(err), v.Expect)
			}
			if err == nil {
				checkFileKeys(t, v, plain)
			}
		})
	}
}

// checkFileKeys derives keys as SPEC.md §13.2 says, from the bytes of FILE.
func checkFileKeys(t *testing.T, v fileVector, plain []byte) {
	key, err := hkdf.Key(sha256.New, v.Content[4:36], nil, "hearsay/1 file copy\x00"+string([]byte{v.Copy}), 32)
	if err != nil {
		t.Fatal(err)
	}
	a, err := chacha20poly1305.New(key)
	if err != nil {
		t.Fatal(err)
	}
	nonce := append(make([]byte, 8), byte(v.Number>>24), byte(v.Number>>16), byte(v.Number>>8), byte(v.Number))
	aad := append([]byte("hearsay/1 chunk\x00"), v.Content[36:44]...)
	aad = binary.BigEndian.AppendUint32(aad, 4992+128) // 4961 blocks, to four bits
	if got := a.Seal(nil, nonce, plain, aad); !bytes.Equal(got, v.Block) {
		t.Error("block is sealed otherwise")
	}
	out, err := hkdf.Key(sha256.New, v.Content[4:36], nil, "hearsay/1 file queue\x00\x00\x00\x00\x01\x01", 64)
	if err != nil || !bytes.Equal(out[:32], v.Seed) || !bytes.Equal(out[32:], v.Cap) {
		t.Error("queue keys are derived otherwise")
	}
	if len(ed25519.NewKeyFromSeed(v.Seed)) == 0 {
		t.Error("no seed")
	}
}

// TestFileSizes checks the padding against a slow reference: the smallest count
// of four significant bits that holds the file.
func TestFileSizes(t *testing.T) {
	significant := func(n uint32) bool {
		for n > 15 {
			if n&1 != 0 {
				return false
			}
			n >>= 1
		}
		return true
	}
	for _, size := range []uint64{0, 1, 1007, 1008, 1009, 15 * 1008, 17 * 1008, 512 * 1008, 512*1008 + 1, 1 << 20, 50_000_000, MaxFileSize} {
		n := uint32(max(1, (size+1007)/1008))
		for !significant(n) {
			n++
		}
		if got := FileBlocks(size); got != n {
			t.Errorf("%d bytes: %d blocks, want %d", size, got, n)
		}
		f := testFile(size, 5)
		blocks := uint32(0)
		for i := range f.Segments() {
			first, count := f.SegmentBlocks(i)
			if first != blocks || count == 0 || count > FileSegment {
				t.Fatalf("%d bytes: segment %d begins at %d with %d", size, i, first, count)
			}
			if a, b := f.Relay(i, 0), f.Relay(i, 1); a == b || a != int(i%5) || b != int((i+3)%5) {
				t.Errorf("segment %d lies at %d and %d", i, a, b)
			}
			blocks += count
		}
		if blocks != n {
			t.Errorf("%d bytes: segments hold %d blocks", size, blocks)
		}
	}
}

// TestFileTruncated cuts FILE and FILECTL at every byte.
func TestFileTruncated(t *testing.T) {
	for _, v := range makeFileVectors() {
		for n := range v.Content {
			if v.Expect != "ok" {
				continue
			}
			_, err := ParseFile(v.Content[:n])
			_, ctl := ParseFileControl(v.Content[:n])
			if !errors.Is(err, ErrFormat) || !errors.Is(ctl, ErrFormat) {
				t.Fatalf("%s cut to %d bytes: %v, %v", v.Name, n, err, ctl)
			}
		}
	}
}

func TestFileRefuses(t *testing.T) {
	for name, change := range map[string]func(*File){
		"no relay":           func(f *File) { f.Relays = nil },
		"copies without two": func(f *File) { f.Relays = f.Relays[:1] },
		"nine relays":        func(f *File) { *f = testFile(5, 9) },
		"long name":          func(f *File) { f.Name = strings.Repeat("x", 256) },
		"size":               func(f *File) { f.Size = MaxFileSize + 1 },
	} {
		f := testFile(5, 3)
		change(&f)
		if _, err := f.Append(nil); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzParseFile(f *testing.F) {
	for _, v := range makeFileVectors() {
		f.Add([]byte(v.Content))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if file, err := ParseFile(b); err == nil {
			if again, err := file.Append(nil); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("FILE encodes otherwise: %x, %v", again, err)
			}
		}
		if c, err := ParseFileControl(b); err == nil {
			if again, err := c.Append(nil); err != nil || !bytes.Equal(again, b) {
				t.Fatalf("FILECTL encodes otherwise: %x, %v", again, err)
			}
		}
	})
}
