package chat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// Specification constants of the inside of a backup (SPEC.md §15.2).
const (
	backupMagic = "hearsay backup\x00\x01"

	entryEnd      byte = 0
	entryBucket   byte = 'b'
	entrySequence byte = 's'
	entryHistory  byte = 'h'

	maxEntryName  = 255
	maxEntryKey   = 255
	maxEntryValue = 1 << 20 // bytes; no row of ours is longer
)

// errBackup: what was read is not a backup, or not one of this version.
var errBackup = errors.New("not a backup, or damaged")

// entry is one row in a backup.
type entry struct {
	kind  byte   // entryBucket, entrySequence or entryHistory
	name  string // of the rows it belongs to
	key   []byte // in a bucket any, else a number of 8 bytes
	value []byte
}

// number is the key of a sequence or history.
func (e *entry) number() uint64 { return binary.BigEndian.Uint64(e.key) }

func (e *entry) append(b []byte) []byte {
	b = append(b, e.kind, byte(len(e.name)))
	b = append(b, e.name...)
	b = append(b, byte(len(e.key)))
	b = append(b, e.key...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(e.value)))
	return append(b, e.value...)
}

// backupWriter writes entries.
type backupWriter struct {
	w     io.Writer
	buf   []byte
	count uint64
}

func newBackupWriter(w io.Writer) (*backupWriter, error) {
	_, err := io.WriteString(w, backupMagic)
	return &backupWriter{w: w}, err
}

func (w *backupWriter) put(e entry) error {
	if len(e.name) == 0 || len(e.name) > maxEntryName || len(e.key) == 0 || len(e.key) > maxEntryKey || len(e.value) > maxEntryValue {
		return fmt.Errorf("a row of %d bytes does not fit into a backup", len(e.value))
	}
	w.buf = e.append(w.buf[:0])
	defer clear(w.buf)
	w.count++
	_, err := w.w.Write(w.buf)
	return err
}

// end writes how many entries there are: a backup without it is not whole.
func (w *backupWriter) end() error {
	_, err := w.w.Write(binary.BigEndian.AppendUint64([]byte{entryEnd}, w.count))
	return err
}

// readBackup calls fn for each entry. Anything that is not exactly what a writer
// writes fails with errBackup. It needs as much memory as the longest row.
func readBackup(r io.Reader, fn func(entry) error) error {
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != backupMagic {
		return errBackup
	}
	for count := uint64(0); ; count++ {
		var kind [1]byte
		if _, err := io.ReadFull(r, kind[:]); err != nil {
			return errBackup
		}
		if kind[0] == entryEnd {
			return readBackupEnd(r, count)
		}
		e, err := readEntry(r, kind[0])
		if err != nil {
			return err
		}
		if err := fn(e); err != nil {
			return err
		}
	}
}

func readBackupEnd(r io.Reader, count uint64) error {
	var b [9]byte
	if n, err := io.ReadFull(r, b[:]); n != 8 || !errors.Is(err, io.ErrUnexpectedEOF) || binary.BigEndian.Uint64(b[:]) != count {
		return errBackup
	}
	return nil
}

func readEntry(r io.Reader, kind byte) (e entry, err error) {
	e.kind = kind
	name, err := readShort(r)
	if err != nil {
		return e, err
	}
	e.name = string(name)
	if e.key, err = readShort(r); err != nil {
		return e, err
	}
	var size [4]byte
	if _, err := io.ReadFull(r, size[:]); err != nil {
		return e, errBackup
	}
	n := binary.BigEndian.Uint32(size[:])
	if n > maxEntryValue || !e.known() {
		return e, errBackup
	}
	e.value = make([]byte, n)
	if _, err := io.ReadFull(r, e.value); err != nil {
		return e, errBackup
	}
	return e, nil
}

func readShort(r io.Reader) ([]byte, error) {
	var n [1]byte
	if _, err := io.ReadFull(r, n[:]); err != nil || n[0] == 0 {
		return nil, errBackup
	}
	b := make([]byte, n[0])
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, errBackup
	}
	return b, nil
}

// The rows that a backup holds. Those whose names end in a slash are followed by
// an id. No name of what holds session states in use or sealed blocks is among
// them.
var (
	backupMeta      = []string{metaNetwork, metaCover, metaEvents, metaOrder}
	backupBuckets   = []string{bucketMeta, bucketContact, bucketSession, bucketReset, bucketSettings, bucketAddress, bucketStranger, bucketGroup}
	backupSequences = []string{bucketGroupOps, bucketGroupGraph}

	// With the history.
	historyBuckets   = []string{bucketDraft}
	historySequences = []string{bucketIndex, bucketExpiry}
)

// known tells whether a backup may hold such a row.
func (e *entry) known() bool {
	switch e.kind {
	case entryBucket:
		for _, name := range append(historyBuckets[:1:1], backupBuckets...) {
			if e.name == name {
				return e.name != bucketMeta || slices.Contains(backupMeta, string(e.key))
			}
		}
	case entrySequence:
		for _, name := range append(historySequences[:2:2], backupSequences...) {
			if len(e.key) == 8 && (e.name == name || strings.HasSuffix(name, "/") && strings.HasPrefix(e.name, name)) {
				return true
			}
		}
	case entryHistory:
		return len(e.key) == 8
	}
	return false
}
