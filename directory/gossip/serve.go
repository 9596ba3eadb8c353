package gossip

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"time"

	"golang.org/x/time/rate"

	"hearsay/directory"
)

var (
	errBusy    = errors.New("gossip: this node has answered enough for now")
	errAskRate = errors.New("gossip: the peer asked more than its share")
)

// CircuitStream is a directory stream inside a circuit. All streams of one
// circuit share one full snapshot.
type CircuitStream interface {
	Stream
	// TakeSnapshot takes the full snapshot of the circuit; it returns false if
	// that was done before, on whatever stream. Safe for concurrent use.
	TakeSnapshot() bool
}

// leave says what an asker may still take: one full snapshot, one difference, or
// a large document of the given size. Each call takes it. kind is what all askers of
// its kind together may.
type leave struct {
	full, diff func(now time.Time) bool
	large      func(now time.Time, size int) bool
	kind       *answers
}

// answers are the bytes that all askers of one kind get: in all, and of large
// documents (SPEC.md §7.5).
type answers struct{ all, large *rate.Limiter }

func newAnswers() *answers {
	return &answers{
		all:   rate.NewLimiter(answerRate, answerBurst),
		large: rate.NewLimiter(allDocumentRate, allDocumentBurst),
	}
}

// Known tells whether a node that proved its identity is a listed relay or a
// bootstrap. Who merely brings what signers say is not: anybody can carry that.
func (n *Node) Known(id directory.RelayID) bool {
	_, ok := n.peer(id)
	return ok
}

// ServeRequest serves a directory stream inside a circuit (BEGIN to service 1):
// at most one full snapshot on its circuit, or on it alone if it is no
// CircuitStream. It returns when the stream ended, and has closed it.
func (n *Node) ServeRequest(ctx context.Context, s Stream) error {
	taken, diffs := false, 0
	return n.serve(ctx, s, leave{
		full: func(time.Time) bool {
			if c, ok := s.(CircuitStream); ok {
				return c.TakeSnapshot()
			}
			first := !taken
			taken = true
			return first
		},
		diff: func(time.Time) bool {
			diffs++
			return diffs <= streamDiffs
		},
		large: func(time.Time, int) bool { return false },
		kind:  n.circuits,
	})
}

// ServeLinkRequest serves a request stream (kind 0x21) on a link. q is the
// quota of that link, one for all its streams; nil for a node that is Known.
func (n *Node) ServeLinkRequest(ctx context.Context, s Stream, q *Quota) error {
	kind := n.clients
	if q == nil {
		kind = n.nodes
	}
	return n.serve(ctx, s, leave{
		kind:  kind,
		full:  func(now time.Time) bool { return q == nil || q.take(now, n.epochLength()) },
		diff:  func(now time.Time) bool { return q == nil || q.takeDiff(now, n.epochLength()) },
		large: func(now time.Time, size int) bool { return q == nil || q.documents.take(now, size) },
	})
}

// serve answers requests one after the other (SPEC.md §7).
func (n *Node) serve(ctx context.Context, s Stream, may leave) error {
	unblock := func() { _ = s.SetDeadline(time.Unix(1, 0)) }
	stop := context.AfterFunc(ctx, unblock)
	defer stop()
	watch := time.AfterFunc(frameTimeout, unblock)
	defer watch.Stop()
	err := n.answerAll(s, watch, may)
	var bye []byte
	switch {
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, errBye):
		return s.Close()
	case errors.Is(err, errBusy):
		bye = appendBye(nil, ByeBusy, 10*time.Second)
	case errors.Is(err, errAskRate):
		bye = appendBye(nil, ByeRate, n.hourOf())
	default:
		bye = appendBye(nil, ByeProtocol, 0)
	}
	watch.Reset(frameTimeout)
	_, _ = s.Write(appendMessage(nil, TypeBye, bye))
	return errors.Join(err, s.Close())
}

func (n *Node) hourOf() time.Duration { return directory.Scale(n.lab, time.Hour) }

func (n *Node) answerAll(s Stream, watch *time.Timer, may leave) error {
	if _, err := s.Write(appendMessage(nil, TypeHello, n.hello().append(nil))); err != nil {
		return err
	}
	r := frameReader{
		r: s,
		allow: func(t Type) bool {
			return t >= TypeFile && t <= TypeReport || t == TypeBye
		},
		started: func() { watch.Reset(frameTimeout) },
	}
	for answered := 0; ; answered++ {
		// The next request must come within the frame timeout, too: an idle
		// stream holds one of the two places of a link.
		watch.Reset(frameTimeout)
		m, err := r.next()
		if err != nil {
			return err
		}
		if m.typ == TypeBye {
			return errBye
		}
		if answered == requestsPerStream {
			return errAskRate
		}
		b, err := n.answerOne(m, may.full)
		switch {
		case err != nil:
		case m.typ == TypeDocument || m.typ == TypeRecords:
			err = mayAnswer(time.Now(), len(b), may)
		case m.typ == TypeSnapshot && b[0] == snapshotDiff && !may.diff(time.Now()):
			err = errAskRate
		}
		if err != nil {
			return err
		}
		if !may.kind.all.AllowN(time.Now(), len(b)) {
			return errBusy
		}
		watch.Reset(frameTimeout + time.Duration(len(b)/slowestAsker)*time.Second)
		if _, err := s.Write(appendMessage(nil, m.typ|answerBit, b)); err != nil {
			return err
		}
	}
}

func (n *Node) answerOne(m message, full func(time.Time) bool) ([]byte, error) {
	switch m.typ {
	case TypeFile:
		if len(m.body) != 4 {
			return nil, errTruncated
		}
		return n.answerFile(binary.BigEndian.Uint32(m.body)), nil
	case TypeHead:
		if len(m.body) != 8 {
			return nil, errTruncated
		}
		return n.answerHead(binary.BigEndian.Uint64(m.body))
	case TypeSnapshot:
		q, err := parseSnapshotRequest(m.body)
		if err != nil {
			return nil, err
		}
		return n.answerSnapshot(q, full)
	case TypeProof:
		q, err := parseProofRequest(m.body)
		if err != nil {
			return nil, err
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		p, err := n.log6962.Prove(q.old, q.new, q.leaf)
		if err != nil {
			return nil, nil // the empty answer: not known here
		}
		return p.Append(nil), nil
	case TypeDocument:
		if len(m.body) != 32 {
			return nil, errTruncated
		}
		return n.answerDocument([32]byte(m.body)), nil
	case TypeLeaves:
		if len(m.body) != 8 {
			return nil, errTruncated
		}
		n.mu.Lock()
		defer n.mu.Unlock()
		leaves := n.log6962.Leaves(binary.BigEndian.Uint64(m.body))
		return appendLeaves(nil, leaves[:min(len(leaves), maxLeavesAnswer/32)]), nil
	case TypeRecords:
		return n.answerRecords(m.body)
	case TypeNotices:
		if len(m.body) != 1 || m.body[0] != 0 {
			return nil, errTruncated
		}
		return n.answerNotices(), nil
	case TypeReport:
		return n.answerReport(m.body), nil
	}
	return nil, errType
}

// answerFile returns versions from the given one on, as many as fit.
func (n *Node) answerFile(from uint32) []byte {
	var b []byte
	for _, raw := range n.Chain().Raw(uint64(max(from, 1))) {
		if len(b)+4+len(raw) > maxFileAnswer {
			break
		}
		b = appendFiles(b, [][]byte{raw})
	}
	return b
}

func (n *Node) answerHead(epoch uint64) ([]byte, error) {
	n.mu.Lock()
	head := n.head
	n.mu.Unlock()
	if head == nil {
		return nil, nil
	}
	if epoch&placeBit != 0 {
		return n.archive.headAt(epoch &^ placeBit)
	}
	if epoch == 0 || epoch == head.Header.Epoch {
		return head.Encode()
	}
	return n.archive.head(epoch)
}
