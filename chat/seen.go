package chat

import (
	"crypto/sha256"

	"hearsay/chat/store"
	"hearsay/relay/mailbox"
)

// seenRow remembers one received inner block: its hash, by which a second copy
// is told, and the ids under which our queues hold it, by which a copy in the
// second queue is told without downloading it.
type seenRow struct {
	hash [32]byte
	ids  []mailbox.MessageID
}

func (r seenRow) append(b []byte) []byte {
	b = append(b, r.hash[:]...)
	for _, id := range r.ids {
		b = append(b, id[:]...)
	}
	return b
}

func parseSeen(b []byte) (seenRow, error) {
	var r seenRow
	if len(b) < sha256.Size || len(b)%mailbox.MessageIDSize != 0 {
		return r, store.ErrDamaged
	}
	r.hash = [32]byte(b)
	for b = b[sha256.Size:]; len(b) > 0; b = b[mailbox.MessageIDSize:] {
		r.ids = append(r.ids, mailbox.MessageID(b))
	}
	return r, nil
}

// seen holds the remembered blocks of a contact, oldest first.
type seen struct {
	rows   []numberedSeen
	hashes map[[32]byte]struct{}
	ids    map[mailbox.MessageID]struct{}
	added  int // in this run
}

type numberedSeen struct {
	n uint64
	seenRow
}

func newSeen() seen {
	return seen{hashes: make(map[[32]byte]struct{}), ids: make(map[mailbox.MessageID]struct{})}
}

func (s *seen) hash(h [32]byte) bool { _, ok := s.hashes[h]; return ok }

func (s *seen) id(id mailbox.MessageID) bool { _, ok := s.ids[id]; return ok }

func (s *seen) add(n uint64, r seenRow) {
	s.added++
	s.rows = append(s.rows, numberedSeen{n, r})
	s.hashes[r.hash] = struct{}{}
	for _, id := range r.ids {
		s.ids[id] = struct{}{}
	}
}

// drop forgets the oldest row and returns its number.
func (s *seen) drop() uint64 {
	r := s.rows[0]
	s.rows[0] = numberedSeen{}
	s.rows = s.rows[1:]
	delete(s.hashes, r.hash)
	for _, id := range r.ids {
		delete(s.ids, id)
	}
	return r.n
}
