package store

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"

	bolt "go.etcd.io/bbolt"
)

// The format of bbolt's pages, in the order of bytes of the machine. A page has its
// id 8, flags 2, count 2 and overflow 4 (pages of it behind the first), then
// elements; the list of free pages has ids of 8 bytes, and behind a count of 65535
// the first one says how many. The meta page of the newest commit has, behind its
// header, the root at 16, the page of the list of free pages at 32 and the number of
// the commit at 48.
const (
	pageHeader   = 16
	pageElement  = 16
	branchPage   = 0x01
	leafPage     = 0x02
	freelistPage = 0x10
	bucketFlag   = 1 // of an element of a leaf: its value begins with a root
	firstPage    = 2 // behind the meta pages
)

// pages follows which pages of a database are taken: in use or free.
type pages struct {
	file  io.ReaderAt
	size  int64
	taken []bool
}

// accounted fails with ErrDamaged unless each page is in use once, or free. The list
// of free pages has no checksum, and the next commits overwrite what it names.
func accounted(tx *bolt.Tx, path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	size := int64(tx.DB().Info().PageSize)
	p := &pages{file: file, size: size, taken: make([]bool, tx.Size()/size)}
	meta := make([]byte, size)
	if _, err := file.ReadAt(meta, int64(tx.ID()%firstPage)*size); err != nil {
		return err
	}
	if meta = meta[pageHeader:]; number(meta[48:]) != uint64(tx.ID()) {
		return fmt.Errorf("no meta page of commit %d: %w", tx.ID(), ErrDamaged)
	}
	if err := p.follow(number(meta[16:])); err != nil {
		return err
	}
	if err := p.free(number(meta[32:])); err != nil {
		return err
	}
	for id, taken := range p.taken {
		if !taken && id >= firstPage {
			return fmt.Errorf("page %d is neither in use nor free: %w", id, ErrDamaged)
		}
	}
	return nil
}

func number(b []byte) uint64 { return binary.NativeEndian.Uint64(b) }

// take notes that a page is taken, which it may be once.
func (p *pages) take(id uint64) error {
	if n := uint64(len(p.taken)); id < firstPage || id >= n || p.taken[id] {
		return fmt.Errorf("page %d of %d is in use twice, or free: %w", id, n, ErrDamaged)
	}
	p.taken[id] = true
	return nil
}

// read takes a page with those that belong to it, and returns all bytes of them and
// its flags.
func (p *pages) read(id uint64) (b []byte, flags uint16, err error) {
	if err := p.take(id); err != nil {
		return nil, 0, err
	}
	b = make([]byte, p.size)
	if _, err := p.file.ReadAt(b, int64(id)*p.size); err != nil {
		return nil, 0, err
	}
	if more := uint64(binary.NativeEndian.Uint32(b[12:])); more > 0 {
		for at := range more { // ends where the pages do
			if err := p.take(id + 1 + at); err != nil {
				return nil, 0, err
			}
		}
		b = make([]byte, int64(1+more)*p.size)
		if _, err := p.file.ReadAt(b, int64(id)*p.size); err != nil {
			return nil, 0, err
		}
	}
	return b, binary.NativeEndian.Uint16(b[8:]), nil
}

// follow takes a page of a bucket and all below it.
func (p *pages) follow(id uint64) error {
	b, flags, err := p.read(id)
	if err != nil {
		return err
	}
	for i := range int(binary.NativeEndian.Uint16(b[10:])) {
		at := pageHeader + i*pageElement
		if at+pageElement > len(b) {
			return fmt.Errorf("page %d is too short: %w", id, ErrDamaged)
		}
		element, below := b[at:], uint64(0)
		switch {
		case flags == branchPage:
			below = number(element[8:])
		case flags != leafPage:
			return fmt.Errorf("page %d has flags %#x: %w", id, flags, ErrDamaged)
		case binary.NativeEndian.Uint32(element)&bucketFlag == 0:
			continue
		default:
			value := int64(binary.NativeEndian.Uint32(element[4:])) + int64(binary.NativeEndian.Uint32(element[8:]))
			if value+8 > int64(len(element)) {
				return fmt.Errorf("page %d is too short: %w", id, ErrDamaged)
			}
			if below = number(element[value:]); below == 0 {
				continue // a small bucket within the element
			}
		}
		if err := p.follow(below); err != nil {
			return err
		}
	}
	return nil
}

// free takes the list of free pages, and those.
func (p *pages) free(id uint64) error {
	b, flags, err := p.read(id)
	if err != nil {
		return err
	}
	count, list := uint64(binary.NativeEndian.Uint16(b[10:])), b[pageHeader:]
	if count == math.MaxUint16 {
		count, list = number(list), list[8:]
	}
	if flags != freelistPage || count > uint64(len(list))/8 {
		return fmt.Errorf("the list of free pages: %w", ErrDamaged)
	}
	for i := range count {
		if err := p.take(number(list[8*i:])); err != nil {
			return err
		}
	}
	return nil
}
