package chat

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"hearsay/chat/store"
)

// Implementation constants of searching.
const (
	searchSpan    = 2048 // rows in one transaction of the store: a long one would hold up writers
	searchWorkers = 8    // at once, if there are as many processors
	maxSearch     = 1024 // bytes of what is sought
)

// searched is one conversation that is searched.
type searched struct {
	id   string
	last uint64
	hits atomic.Int64
}

// span is a part of a conversation: the rows from down to from-searchSpan+1.
type span struct {
	in   *searched
	from uint64
}

type hit struct {
	conversation string
	number       uint64
	time         int64
}

// Search returns the newest messages whose text contains what is sought, without
// regard to case, in one conversation or, if that is empty, all; the newest
// first. There is no index: every message is decrypted and looked at, beside the
// keeper, which goes on sending. The limit is cut to 1..1000; 0 means 100. It
// fails with not_found, refused (nothing to seek), too_large, locked, or the
// context's error.
func (m *Messenger) Search(ctx context.Context, text, conversation string, limit int) ([]Message, error) {
	switch {
	case strings.TrimSpace(text) == "" || !utf8.ValidString(text):
		return nil, &Error{Kind: KindRefused, Text: "there is nothing to search for"}
	case len(text) > maxSearch:
		return nil, &Error{Kind: KindTooLarge, Text: "the text that is searched for is too long", Hint: "1024 bytes at most"}
	}
	if limit == 0 {
		limit = defaultListed
	}
	limit = min(max(limit, 1), maxListed)
	spans, err := m.searchSpans(ctx, conversation)
	if err != nil {
		return nil, err
	}
	sought := seek(text)
	hits, err := m.scan(ctx, spans, sought, limit)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(hits, func(a, b hit) int {
		return cmp.Or(cmp.Compare(b.time, a.time), cmp.Compare(b.number, a.number), cmp.Compare(a.conversation, b.conversation))
	})
	list := []Message{}
	err = m.look(ctx, func(t *turn) error {
		for _, h := range hits[:min(len(hits), limit)] {
			rec, err := t.row(h.conversation, h.number)
			if err != nil {
				return err
			}
			if rec == nil || !sought.in(rec.Text) || !t.isConversation(h.conversation) {
				continue // deleted or edited meanwhile
			}
			shape, err := t.shapeRow(h.conversation, h.number, rec)
			if err != nil {
				return err
			}
			list = append(list, shape)
		}
		return nil
	})
	return list, err
}

// searchSpans cuts what is to be searched into parts, the newest of each
// conversation first.
func (m *Messenger) searchSpans(ctx context.Context, conversation string) (spans []span, err error) {
	err = m.look(ctx, func(t *turn) error {
		ids := []string{conversation}
		if conversation == "" {
			ids = slices.Concat(sortedKeys(t.book.contacts), slices.Sorted(maps.Keys(t.book.groups)), []string{NotesID})
		} else if !t.isConversation(conversation) {
			return errNoContact
		}
		for _, id := range ids {
			last, err := t.tx.History(id).Last()
			if err != nil {
				return err
			}
			in := &searched{id: id, last: last}
			for from := last; from > 0; from -= min(from, searchSpan) {
				spans = append(spans, span{in, from})
			}
		}
		return nil
	})
	return spans, err
}

// scan searches parts, as many at once as there are processors. A part is not
// begun once newer ones of its conversation had enough.
func (m *Messenger) scan(ctx context.Context, spans []span, sought needle, limit int) ([]hit, error) {
	var (
		workers sync.WaitGroup
		next    atomic.Int64
		mu      sync.Mutex
		all     []hit
		failure error
	)
	for range min(runtime.GOMAXPROCS(0), searchWorkers, len(spans)) {
		workers.Go(func() {
			for {
				n := int(next.Add(1)) - 1
				if n >= len(spans) || ctx.Err() != nil {
					return
				}
				if spans[n].in.hits.Load() >= int64(limit) {
					continue
				}
				hits, err := m.scanSpan(ctx, spans[n], sought, limit)
				mu.Lock()
				all = append(all, hits...)
				failure = cmp.Or(failure, err)
				failed := failure != nil
				mu.Unlock()
				if failed {
					return
				}
			}
		})
	}
	workers.Wait()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if errors.Is(failure, store.ErrLocked) {
		return nil, errLocked
	}
	return all, failure
}

// scanSpan searches one part in a transaction of its own.
func (m *Messenger) scanSpan(ctx context.Context, s span, sought needle, limit int) (hits []hit, err error) {
	end := s.from - min(s.from, searchSpan)
	err = m.store.View(func(tx *store.Tx) error {
		return tx.History(s.in.id).Down(s.from, func(number uint64, raw []byte) (bool, error) {
			switch {
			case number <= end || ctx.Err() != nil:
				return false, nil
			case !sought.maybe(raw):
				return true, nil
			}
			var rec messageRecord
			if err := decode(raw, &rec); err != nil {
				return false, err
			}
			if !sought.in(rec.Text) {
				return true, nil
			}
			hits = append(hits, hit{s.in.id, number, rec.Time})
			s.in.hits.Add(1)
			return len(hits) < limit, nil
		})
	})
	return hits, err
}

// needle is what is sought, in lower case.
type needle struct {
	text  string
	ascii bool
}

func seek(text string) needle {
	n := needle{text: strings.ToLower(text)}
	n.ascii = isASCII([]byte(n.text))
	return n
}

func isASCII(b []byte) bool {
	for _, c := range b {
		if c >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// in tells whether a text contains the needle.
func (n needle) in(text string) bool { return strings.Contains(strings.ToLower(text), n.text) }

// maybe tells whether a row may hold the needle, without decoding it, which
// takes longer than decrypting it. Where it says yes the row is decoded; letters
// beyond ASCII whose lower case is ASCII (the sign of kelvin) are not found by an
// ASCII needle.
func (n needle) maybe(raw []byte) bool {
	text, ok := rowText(raw)
	switch {
	case !ok:
		return true
	case n.ascii:
		return n.inASCII(text)
	case isASCII(text):
		return false
	}
	return bytes.Contains(bytes.ToLower(text), []byte(n.text))
}

// rowText finds the text in an encoded messageRecord: a map whose first key may
// be 1, with true, and whose next is 2, with the text.
func rowText(raw []byte) (text []byte, ok bool) {
	switch {
	case len(raw) > 0 && raw[0]>>5 == 5 && raw[0]&31 < 24:
		raw = raw[1:]
	case len(raw) > 1 && raw[0] == 0xb8:
		raw = raw[2:]
	default:
		return nil, false
	}
	raw = bytes.TrimPrefix(raw, []byte{0x01, 0xf5})
	if len(raw) < 2 || raw[0] != 0x02 || raw[1]>>5 != 3 {
		return nil, false
	}
	short, raw := raw[1]&31, raw[2:]
	size, bytesOfSize := uint64(short), 0
	if short >= 24 {
		if bytesOfSize = 1 << (short - 24); short > 27 || len(raw) < bytesOfSize {
			return nil, false
		}
		size = 0
		for _, c := range raw[:bytesOfSize] {
			size = size<<8 | uint64(c)
		}
		raw = raw[bytesOfSize:]
	}
	if size > uint64(len(raw)) {
		return nil, false
	}
	return raw[:size], true
}

// inASCII tells whether a text contains the needle, which is ASCII.
func (n needle) inASCII(text []byte) bool {
	low := n.text[0]
	up := low
	if 'a' <= low && low <= 'z' {
		up -= 'a' - 'A'
	}
	for at := 0; at+len(n.text) <= len(text); at++ {
		if (text[at] == low || text[at] == up) && n.begins(text[at:]) {
			return true
		}
	}
	return false
}

// begins tells whether b begins with the needle, which is ASCII.
func (n needle) begins(b []byte) bool {
	for i := range len(n.text) {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		if c != n.text[i] {
			return false
		}
	}
	return true
}
