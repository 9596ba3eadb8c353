package session

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"math/bits"
	"unicode/utf8"

	"golang.org/x/crypto/chacha20poly1305"
)

// Specification constants of files (SPEC.md §13).
const (
	FileBlockSize  = 1008 // bytes of a file in one block
	FileSegment    = 512  // blocks in one queue, but for the last
	MaxFileSize    = 256 << 20
	MaxFileRelays  = 8
	MaxFileName    = 255 // bytes
	MaxFileCopies  = 2   // that FILE promises
	MaxFileRanges  = 96  // entries of one FILECTL
	fileVersion    = 1
	fileKeySize    = 32
	relayPrefixLen = 16
)

// FileKey is the 32-byte key of one file, known to sender and receiver. All keys
// of its blocks and queues come from it.
type FileKey struct {
	_ [0]func() // no ==: comparison is constant time, by Equal
	b [fileKeySize]byte
}

// NewFileKey draws a key from rand.
func NewFileKey(rand io.Reader) (FileKey, error) {
	var k FileKey
	_, err := io.ReadFull(rand, k.b[:])
	return k, err
}

// Equal compares in constant time.
func (k FileKey) Equal(o FileKey) bool { return subtle.ConstantTimeCompare(k.b[:], o.b[:]) == 1 }

// String never shows the key.
func (FileKey) String() string { return redacted }

// LogValue never shows the key.
func (FileKey) LogValue() slog.Value { return slog.StringValue(redacted) }

// Format never shows the key, whatever the verb.
func (FileKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, redacted) }

// File is the content of a FrameFile message: it offers a file whose blocks lie
// at relays (SPEC.md §13.1).
type File struct {
	Copies byte // of each segment, 1 or 2
	Key    FileKey
	Size   uint64   // bytes, at most MaxFileSize
	Hash   [32]byte // SHA-256 of the whole file
	Until  uint32   // protocol hours since 1970: the relays may delete it then
	Relays [][relayPrefixLen]byte
	Name   string // UTF-8, at most MaxFileName bytes, not sanitised
}

// FileBlocks returns how many blocks a file of so many bytes has: those of its
// bytes, at least one, rounded up to four significant bits.
func FileBlocks(size uint64) uint32 {
	n := uint32(max(1, (size+FileBlockSize-1)/FileBlockSize))
	if shift := bits.Len32(n) - 4; shift > 0 {
		n = (n + 1<<shift - 1) >> shift << shift
	}
	return n
}

// Blocks returns how many blocks the file has, those of padding included.
func (f *File) Blocks() uint32 { return FileBlocks(f.Size) }

// Segments returns how many queues one copy takes.
func (f *File) Segments() uint32 { return (f.Blocks() + FileSegment - 1) / FileSegment }

// SegmentBlocks returns the first block of a segment and how many it has, 0 if
// there is no such segment.
func (f *File) SegmentBlocks(segment uint32) (first, count uint32) {
	if segment >= f.Segments() {
		return 0, 0
	}
	first = segment * FileSegment
	return first, min(FileSegment, f.Blocks()-first)
}

// Relay returns the place among Relays of a segment's first copy (0) or second
// (1).
func (f *File) Relay(segment uint32, copy byte) int {
	m := uint32(len(f.Relays))
	return int((segment + uint32(copy)*((m+1)/2)) % m)
}

// Append appends the content, at most 468 bytes; ErrFormat if f is not one that
// ParseFile accepts.
func (f *File) Append(b []byte) ([]byte, error) {
	if err := f.check(); err != nil {
		return nil, err
	}
	b = append(b, fileVersion, 0, f.Copies, byte(len(f.Relays)))
	b = append(b, f.Key.b[:]...)
	b = binary.BigEndian.AppendUint64(b, f.Size)
	b = append(b, f.Hash[:]...)
	b = binary.BigEndian.AppendUint32(b, f.Segments())
	b = binary.BigEndian.AppendUint32(b, f.Until)
	for _, r := range f.Relays {
		b = append(b, r[:]...)
	}
	return append(append(b, byte(len(f.Name))), f.Name...), nil
}

// check refuses what the layout leaves open.
func (f *File) check() error {
	switch {
	case f.Size > MaxFileSize, len(f.Name) > MaxFileName, !utf8.ValidString(f.Name):
	case f.Copies < 1 || f.Copies > MaxFileCopies, len(f.Relays) < int(f.Copies), len(f.Relays) > MaxFileRelays:
	default:
		for i, r := range f.Relays {
			for _, o := range f.Relays[:i] {
				if r == o {
					return fmt.Errorf("file: a relay twice: %w", ErrFormat)
				}
			}
		}
		return nil
	}
	return fmt.Errorf("file: size, name or relays: %w", ErrFormat)
}

// ParseFile parses the content of a FrameFile message.
func ParseFile(content []byte) (File, error) {
	var f File
	r := reader{b: content}
	if r.byte() != fileVersion {
		r.fail()
	}
	r.zero(1)
	f.Copies = r.byte()
	m := int(r.byte())
	f.Key.b = r.key()
	f.Size = r.uint64()
	f.Hash = [32]byte(r.bytes(32))
	segments := r.uint32()
	f.Until = r.uint32()
	if m > MaxFileRelays {
		r.fail()
	}
	for range min(m, MaxFileRelays) {
		f.Relays = append(f.Relays, [relayPrefixLen]byte(r.bytes(relayPrefixLen)))
	}
	f.Name = string(r.bytes(int(r.byte())))
	if err := r.done(); err != nil {
		return File{}, fmt.Errorf("parse file: %w", err)
	}
	if err := f.check(); err != nil {
		return File{}, err
	}
	if segments != f.Segments() {
		return File{}, fmt.Errorf("parse file: segments: %w", ErrFormat)
	}
	return f, nil
}

// FileSealer seals and opens the blocks of one copy of a file. Block c of a copy
// has one plaintext for ever, the file's, so its number is the nonce.
type FileSealer struct {
	aead cipher.AEAD
	aad  []byte
}

// Sealer returns the sealer of a copy.
func (f *File) Sealer(copy byte) *FileSealer {
	var key [fileKeySize]byte
	derive(key[:], f.Key.b[:], nil, labelFileCopy+string([]byte{copy}))
	defer clear(key[:])
	a, err := chacha20poly1305.New(key[:])
	if err != nil {
		panic("session: " + err.Error()) // only for a key that is not 32 bytes
	}
	aad := binary.BigEndian.AppendUint64([]byte(labelFileChunk), f.Size)
	return &FileSealer{a, binary.BigEndian.AppendUint32(aad, f.Blocks())}
}

func blockNonce(c uint32) (nonce [chacha20poly1305.NonceSize]byte) {
	binary.BigEndian.PutUint32(nonce[8:], c)
	return nonce
}

// Seal seals block c, FileBlockSize bytes.
func (s *FileSealer) Seal(c uint32, plain []byte) (block [BlockSize]byte) {
	if len(plain) != FileBlockSize {
		panic("session: a block of a file is not full") // callers pad
	}
	nonce := blockNonce(c)
	s.aead.Seal(block[:0], nonce[:], plain, s.aad)
	return block
}

// Open opens block c into dst, which it returns longer by FileBlockSize bytes;
// ErrAuth if it is not that block of the copy.
func (s *FileSealer) Open(dst []byte, c uint32, block *[BlockSize]byte) ([]byte, error) {
	nonce := blockNonce(c)
	plain, err := s.aead.Open(dst, nonce[:], block[:], s.aad)
	if err != nil {
		return nil, ErrAuth
	}
	return plain, nil
}

// FileMessageID is the message id of a block.
func FileMessageID(c uint32) (id [8]byte) {
	binary.BigEndian.PutUint64(id[:], uint64(c))
	return id
}

// ParseFileMessageID returns the block of a message id.
func ParseFileMessageID(id [8]byte) (c uint32, ok bool) {
	n := binary.BigEndian.Uint64(id[:])
	return uint32(n), n < 1<<32
}

// Queue returns the Ed25519 seed of the queue that holds a copy of a segment,
// and its send capability. Both sides can own it.
func (f *File) Queue(segment uint32, copy byte) (seed, capability [32]byte) {
	var out [64]byte
	info := binary.BigEndian.AppendUint32([]byte(labelFileQueue), segment)
	derive(out[:], f.Key.b[:], nil, string(append(info, copy)))
	defer clear(out[:])
	return [32]byte(out[:32]), [32]byte(out[32:])
}

// FileOp says what a FILECTL is about.
type FileOp byte

// The operations of FILECTL.
const (
	FileWant   FileOp = 1 // the receiver lacks blocks
	FileMoved  FileOp = 2 // the sender stored segments anew
	FileDone   FileOp = 3 // the receiver has the file, and its hash is right
	FileCancel FileOp = 4 // either side gave up
)

// FileRange is blocks of one segment.
type FileRange struct {
	Segment uint32
	First   uint16 // in the segment
	Count   uint16 // 1 to 512, within the segment
}

// FilePlace says that segments lie, as one more copy, at a relay.
type FilePlace struct {
	Segment uint32 // the first
	Count   uint16 // consecutive ones, at least 1
	Copy    byte   // at least MaxFileCopies
	Relay   [relayPrefixLen]byte
}

// FileControl is the content of a FrameFileCtl message (SPEC.md §13.4).
type FileControl struct {
	Op     FileOp
	File   [16]byte    // message id of the FILE
	Ranges []FileRange // of FileWant: 1 to MaxFileRanges
	Until  uint32      // of FileMoved, protocol hours
	Places []FilePlace // of FileMoved: 1 to 32
}

// MaxFilePlaces is how many places one FILECTL names.
const MaxFilePlaces = 32

// Append appends the content; ErrFormat if c is not one that ParseFileControl
// accepts.
func (c *FileControl) Append(b []byte) ([]byte, error) {
	start := len(b)
	b = append(b, fileVersion, byte(c.Op), byte(len(c.Ranges)+len(c.Places)), 0)
	b = append(b, c.File[:]...)
	b = binary.BigEndian.AppendUint32(b, c.Until)
	for _, g := range c.Ranges {
		b = binary.BigEndian.AppendUint32(b, g.Segment)
		b = binary.BigEndian.AppendUint16(b, g.First)
		b = binary.BigEndian.AppendUint16(b, g.Count)
	}
	for _, p := range c.Places {
		b = binary.BigEndian.AppendUint32(b, p.Segment)
		b = binary.BigEndian.AppendUint16(b, p.Count)
		b = append(b, p.Copy, 0)
		b = append(b, p.Relay[:]...)
	}
	if _, err := ParseFileControl(b[start:]); err != nil {
		return nil, err
	}
	return b, nil
}

// ParseFileControl parses the content of a FrameFileCtl message.
func ParseFileControl(content []byte) (FileControl, error) {
	var c FileControl
	r := reader{b: content}
	if r.byte() != fileVersion {
		r.fail()
	}
	c.Op = FileOp(r.byte())
	n := int(r.byte())
	r.zero(1)
	c.File = [16]byte(r.bytes(16))
	c.Until = r.uint32()
	switch c.Op {
	case FileWant:
		if n < 1 || n > MaxFileRanges {
			r.fail()
		}
		for range min(n, MaxFileRanges) {
			g := FileRange{Segment: r.uint32(), First: r.uint16(), Count: r.uint16()}
			if g.Count < 1 || int(g.First)+int(g.Count) > FileSegment {
				r.fail()
			}
			c.Ranges = append(c.Ranges, g)
		}
	case FileMoved:
		if n < 1 || n > MaxFilePlaces {
			r.fail()
		}
		for range min(n, MaxFilePlaces) {
			p := FilePlace{Segment: r.uint32(), Count: r.uint16(), Copy: r.byte()}
			r.zero(1)
			p.Relay = [relayPrefixLen]byte(r.bytes(relayPrefixLen))
			if p.Count < 1 || p.Copy < MaxFileCopies {
				r.fail()
			}
			c.Places = append(c.Places, p)
		}
	case FileDone, FileCancel:
		if n != 0 {
			r.fail()
		}
	default:
		r.fail()
	}
	if c.Op != FileMoved && c.Until != 0 {
		r.fail()
	}
	if err := r.done(); err != nil {
		return FileControl{}, fmt.Errorf("parse file control: %w", err)
	}
	return c, nil
}
