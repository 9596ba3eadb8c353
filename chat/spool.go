package chat

import (
	"bufio"
	"crypto/cipher"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"hearsay/chat/session"
	"hearsay/chat/store"

	"golang.org/x/crypto/chacha20poly1305"
)

// Specification constants of spools (SPEC.md §13.1).
const (
	spoolDir  = "spool" // in the home
	spoolUnit = chacha20poly1305.NonceSizeX + session.FileBlockSize + chacha20poly1305.Overhead
)

// errSpoolDamaged says that a spool is not what was written.
var errSpoolDamaged = errors.New("chat: a spooled file is damaged")

// spoolFile is what a spool needs of a file of the system.
type spoolFile interface {
	io.Writer
	io.ReaderAt
	io.WriterAt
	Sync() error
	Close() error
}

// spools keeps the content of files that are sent or fetched, each sealed under
// a key of its own that lies in the store: without its row a spool is noise.
type spools struct {
	dir  string
	open func(path string, flag int) (spoolFile, error)
}

func newSpools(home string) *spools {
	return &spools{filepath.Join(home, spoolDir), func(path string, flag int) (spoolFile, error) { return os.OpenFile(path, flag, 0o600) }}
}

// spool is one open spool. put and get may run at the same time for different
// blocks.
type spool struct {
	file spoolFile
	aead cipher.AEAD
	size uint64 // bytes of the file
}

// create makes an empty spool for a file of so many bytes, in place of one that
// is there.
func (s *spools) create(id string, key [32]byte, size uint64) (*spool, error) {
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return nil, err
	}
	return s.use(id, key, size, os.O_RDWR|os.O_CREATE|os.O_TRUNC)
}

// reopen opens a spool; fs.ErrNotExist if it is gone.
func (s *spools) reopen(id string, key [32]byte, size uint64) (*spool, error) {
	return s.use(id, key, size, os.O_RDWR)
}

func (s *spools) use(id string, key [32]byte, size uint64, flag int) (*spool, error) {
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return nil, err
	}
	f, err := s.open(filepath.Join(s.dir, id), flag)
	if err != nil {
		return nil, err
	}
	return &spool{f, aead, size}, nil
}

// remove erases a spool. There need not be one.
func (s *spools) remove(id string) error {
	err := os.Remove(filepath.Join(s.dir, id))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweep erases spools that no row knows: their keys are gone, or never were on
// the disk.
func (s *spools) sweep(known func(id string) bool) error {
	list, err := os.ReadDir(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for _, e := range list {
		if !known(e.Name()) && strings.HasPrefix(e.Name(), "f_") {
			if err := s.remove(e.Name()); err != nil {
				return err
			}
		}
	}
	return nil
}

// fill copies content into a new spool and syncs it. It fails with too_large
// beyond limit bytes; whatever fails, nothing is left.
func (s *spools) fill(id string, key [32]byte, from io.Reader, limit int64) (size uint64, sum [32]byte, err error) {
	p, err := s.create(id, key, 0)
	if err != nil {
		return 0, sum, err
	}
	defer func() {
		if e := p.Close(); err == nil {
			err = e
		}
		if err != nil {
			_ = s.remove(id)
		}
	}()
	h := sha256.New()
	in := io.TeeReader(io.LimitReader(from, limit+1), h)
	out := bufio.NewWriterSize(p.file, 64*spoolUnit)
	plain := make([]byte, session.FileBlockSize)
	var unit []byte
	for c := uint32(0); ; c++ {
		n, err := io.ReadFull(in, plain)
		if size += uint64(n); size > uint64(limit) {
			return 0, sum, errFileTooLarge(limit)
		}
		if n > 0 {
			clear(plain[n:])
			unit = p.seal(unit[:0], c, plain)
			if _, err := out.Write(unit); err != nil {
				return 0, sum, err
			}
		}
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			break
		}
		if err != nil {
			return 0, sum, err
		}
	}
	if err := out.Flush(); err != nil {
		return 0, sum, err
	}
	if err := p.file.Sync(); err != nil {
		return 0, sum, err
	}
	for _, dir := range []string{s.dir, filepath.Dir(s.dir)} { // or it is gone after a power cut
		if err := store.SyncDir(dir); err != nil {
			return 0, sum, err
		}
	}
	return size, [32]byte(h.Sum(nil)), nil
}

// blocks is how many blocks hold bytes of the file; the others are padding and
// not kept.
func (p *spool) blocks() uint32 {
	return uint32((p.size + session.FileBlockSize - 1) / session.FileBlockSize)
}

// seal appends block c as it lies in the spool. The nonce is random: a receiver
// may be sent two contents for one block.
func (p *spool) seal(b []byte, c uint32, plain []byte) []byte {
	var nonce [chacha20poly1305.NonceSizeX]byte
	_, _ = rand.Read(nonce[:])
	return p.aead.Seal(append(b, nonce[:]...), nonce[:], plain, spoolAAD(c))
}

func spoolAAD(c uint32) []byte { return binary.BigEndian.AppendUint32([]byte(labelSpool), c) }

// put keeps block c.
func (p *spool) put(c uint32, plain []byte) error {
	if c >= p.blocks() {
		return nil
	}
	_, err := p.file.WriteAt(p.seal(make([]byte, 0, spoolUnit), c, plain), int64(c)*spoolUnit)
	return err
}

// get returns block c, zeros behind the end of the file.
func (p *spool) get(c uint32) ([]byte, error) {
	if c >= p.blocks() {
		return make([]byte, session.FileBlockSize), nil
	}
	var unit [spoolUnit]byte
	if _, err := p.file.ReadAt(unit[:], int64(c)*spoolUnit); err != nil {
		if errors.Is(err, io.EOF) {
			return nil, errSpoolDamaged
		}
		return nil, err
	}
	nonce, sealed := unit[:chacha20poly1305.NonceSizeX], unit[chacha20poly1305.NonceSizeX:]
	plain, err := p.aead.Open(sealed[:0], nonce, sealed, spoolAAD(c))
	if err != nil {
		return nil, errSpoolDamaged
	}
	return plain, nil
}

// copyTo writes the whole file and returns its SHA-256.
func (p *spool) copyTo(w io.Writer) (sum [32]byte, err error) {
	h := sha256.New()
	left := p.size
	for c := range p.blocks() {
		plain, err := p.get(c)
		if err != nil {
			return sum, err
		}
		plain = plain[:min(left, uint64(len(plain)))]
		left -= uint64(len(plain))
		if err := writeBoth(h, w, plain); err != nil {
			return sum, err
		}
	}
	return [32]byte(h.Sum(nil)), nil
}

func writeBoth(h hash.Hash, w io.Writer, b []byte) error {
	h.Write(b)
	_, err := w.Write(b)
	return err
}

// Sync makes what was put last.
func (p *spool) Sync() error { return p.file.Sync() }

// Close closes the file.
func (p *spool) Close() error { return p.file.Close() }

func errFileTooLarge(limit int64) *Error {
	return &Error{Kind: KindTooLarge, Text: "the file is too large", Hint: fmt.Sprintf("%s at most", byteText(limit))}
}

// diskError turns a failure to write into words; a full disk is told by name.
func diskError(err error) *Error {
	var known *Error
	if errors.As(err, &known) {
		return known
	}
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return &Error{Kind: KindIO, Text: "the disk is full", Hint: "free some space, then try again"}
	}
	return &Error{Kind: KindIO, Text: "cannot use the disk: " + Sanitize(err.Error())}
}

// withoutPath is what a log may hold of a failure: names of spools are ids.
func withoutPath(err error) error {
	var p *fs.PathError
	if errors.As(err, &p) {
		return p.Err
	}
	return err
}

// byteText writes a size for people.
func byteText(n int64) string {
	switch {
	case n < 1<<10:
		return fmt.Sprintf("%d bytes", n)
	case n < 1<<20:
		return fmt.Sprintf("%d KiB", (n+1<<9)>>10)
	}
	return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
}
