package gossip

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"hearsay/directory"
)

// Implementation constants of a Reader.
const (
	readerPatience = 30 * time.Second      // longest wait that a busy node may ask for
	readerRequests = requestsPerStream / 2 // calls on one stream; some make several requests
)

// ErrNotPublished is returned by a Reader for what no bootstrap has.
var ErrNotPublished = errors.New("gossip: no bootstrap has it")

// ReaderConfig configures a Reader.
type ReaderConfig struct {
	Link   directory.NetworkLink
	Dialer Dialer
	Log    *slog.Logger // nil: discard
}

// Reader reads what a network publishes from its bootstraps, for people who want
// to look at it. It remembers nothing from one run to the next, so it cannot tell
// an old snapshot from the newest but by its age; clients and relays can. What its
// methods return is verified as each says. Its methods are called by one goroutine.
type Reader struct {
	cfg   ReaderConfig
	log   *slog.Logger
	chain *directory.Chain
	at    int // the bootstrap that is asked first
	from  *asker
	sent  int // requests on it
}

// NewReader returns a reader of the link's network. Close must follow.
func NewReader(cfg ReaderConfig) *Reader {
	return &Reader{cfg: cfg, log: orDiscard(cfg.Log)}
}

// Close ends the stream that is open.
func (r *Reader) Close() {
	if r.from != nil {
		r.from.close()
		r.from = nil
	}
}

// Chain fetches all versions of the network file and verifies them; the last may
// have expired. It asks once.
func (r *Reader) Chain(ctx context.Context) (*directory.Chain, error) {
	if r.chain != nil {
		return r.chain, nil
	}
	err := r.ask(ctx, func(a *asker) error {
		raws, err := a.files(1)
		if err != nil {
			return err
		}
		r.chain, err = directory.VerifyHistory(r.cfg.Link.ID, raws)
		return err
	})
	return r.chain, err
}

// Snapshot fetches the snapshot of an epoch, 0 for the newest, and verifies it,
// its place in the log included. The age of one that is asked for by its number
// does not matter.
func (r *Reader) Snapshot(ctx context.Context, epoch uint64) (s *directory.Snapshot, v *directory.View, err error) {
	chain, err := r.Chain(ctx)
	if err != nil {
		return nil, nil, err
	}
	err = r.ask(ctx, func(a *asker) error {
		b, err := a.do(TypeSnapshot, snapshotRequest{epoch: epoch}.append(nil))
		if err != nil {
			return err
		}
		if len(b) < 1 || b[0] != snapshotFull {
			return errUnknown
		}
		if s, err = directory.ParseSnapshot(b[1:]); err != nil {
			return err
		}
		now := time.Now()
		if epoch != 0 {
			if now = s.Header.ValidAfter; s.Header.Epoch != epoch {
				return errAnswer
			}
		}
		first := chain.InitialState()
		p, err := a.proof(first, s.Header.LogSize)
		if err != nil {
			return err
		}
		v, _, err = chain.Verify(s, first, p, now)
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	return s, v, nil
}

// Head fetches a head by the hash of its header and verifies its signatures.
func (r *Reader) Head(ctx context.Context, hash [32]byte) (*directory.Head, error) {
	raw, err := r.Document(ctx, hash)
	if err != nil {
		return nil, err
	}
	return r.verified(ctx, raw)
}

// HeadAt fetches the head of an epoch and verifies its signatures.
func (r *Reader) HeadAt(ctx context.Context, epoch uint64) (*directory.Head, error) {
	var raw []byte
	err := r.ask(ctx, func(a *asker) (err error) {
		raw, err = a.do(TypeHead, binary.BigEndian.AppendUint64(nil, epoch))
		if err == nil && len(raw) == 0 {
			err = errUnknown
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	h, err := r.verified(ctx, raw)
	if err == nil && epoch != 0 && h.Header.Epoch != epoch {
		err = errAnswer
	}
	return h, err
}

func (r *Reader) verified(ctx context.Context, raw []byte) (*directory.Head, error) {
	chain, err := r.Chain(ctx)
	if err != nil {
		return nil, err
	}
	h, err := directory.ParseHead(raw)
	if err != nil {
		return nil, err
	}
	return h, chain.VerifySigned(h, chain.InitialState())
}

// Leaves fetches the leaf hashes of the log from the first on, size of them. The
// caller compares their root with a header's.
func (r *Reader) Leaves(ctx context.Context, size uint64) (leaves [][32]byte, err error) {
	err = r.ask(ctx, func(a *asker) (err error) {
		leaves, err = a.leaves(0, size)
		return err
	})
	return leaves, err
}

// Document fetches what a hash names (SPEC.md §7.5). It bears the name;
// signatures are not verified.
func (r *Reader) Document(ctx context.Context, hash [32]byte) (raw []byte, err error) {
	err = r.ask(ctx, func(a *asker) (err error) {
		raw, err = a.document(hash)
		return err
	})
	return raw, err
}

// Records fetches records by the first halves of their hashes, nil for those that
// nobody has. They bear the names; signatures are not verified.
func (r *Reader) Records(ctx context.Context, halves [][16]byte) ([][]byte, error) {
	all := make([][]byte, len(halves))
	for range r.bootstraps() {
		var missing [][16]byte
		var places []int
		for i, raw := range all {
			if raw == nil {
				missing, places = append(missing, halves[i]), append(places, i)
			}
		}
		for len(missing) > 0 {
			n := min(len(missing), maxRecordsAsked)
			var list [][]byte
			err := r.ask(ctx, func(a *asker) (err error) {
				list, err = a.records(missing[:n])
				return err
			})
			if err != nil {
				return nil, err
			}
			for i, raw := range list {
				all[places[i]] = raw
			}
			missing, places = missing[n:], places[n:]
		}
		if !hasNil(all) {
			break
		}
		r.next()
	}
	return all, nil
}

// Notices asks every bootstrap for evidence and successor notices, since one may
// keep some back, and returns those that verify. It fails only if nobody answers.
func (r *Reader) Notices(ctx context.Context) (evidence []*directory.Evidence, successors []*directory.Successor, err error) {
	chain, err := r.Chain(ctx)
	if err != nil {
		return nil, nil, err
	}
	seen := make(map[string]bool)
	answered := false
	var reasons []error
	for range r.bootstraps() {
		var list []notice
		err := r.askOne(ctx, func(a *asker) error {
			b, err := a.do(TypeNotices, []byte{0})
			if err == nil {
				list, err = parseNotices(b)
			}
			return err
		})
		if ctx.Err() != nil {
			return nil, nil, ctx.Err()
		}
		if err != nil {
			reasons = append(reasons, err)
		}
		answered = answered || err == nil
		for _, n := range list {
			if seen[string(n.raw)] {
				continue
			}
			seen[string(n.raw)] = true
			if e, err := chain.ParseEvidence(n.raw); n.kind == noticeEvidence && err == nil {
				evidence = append(evidence, e)
			}
			if s, err := chain.ParseSuccessor(n.raw); n.kind == noticeSuccessor && err == nil {
				successors = append(successors, s)
			}
		}
		r.next()
	}
	if !answered {
		return nil, nil, fmt.Errorf("no bootstrap answers: %w", errors.Join(reasons...))
	}
	return evidence, successors, nil
}

func hasNil(list [][]byte) bool {
	for _, b := range list {
		if b == nil {
			return true
		}
	}
	return false
}

// bootstraps returns those of the network file, or of the link while that is not
// known.
func (r *Reader) bootstraps() []directory.Bootstrap {
	if r.chain != nil {
		return r.chain.Current().Bootstraps
	}
	return r.cfg.Link.Bootstraps
}

// next leaves the bootstrap that is asked for another.
func (r *Reader) next() {
	r.Close()
	r.at++
}

// ask runs requests on a stream to a bootstrap, and to the next one if that fails,
// each once. A busy node is asked again after the time that it asks for.
func (r *Reader) ask(ctx context.Context, f func(a *asker) error) error {
	var reasons []error
	for range len(r.bootstraps()) {
		err := r.askOne(ctx, f)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		reasons = append(reasons, err)
		r.next()
	}
	for _, err := range reasons {
		if !errors.Is(err, errUnknown) {
			return fmt.Errorf("no bootstrap gave it: %w", errors.Join(reasons...))
		}
	}
	return ErrNotPublished
}

func (r *Reader) askOne(ctx context.Context, f func(a *asker) error) error {
	for try := 0; ; try++ {
		fresh := r.from == nil
		err := r.open(ctx)
		if err == nil {
			r.sent++
			err = f(r.from)
		}
		var bye *byeError
		switch {
		case err == nil || errors.Is(err, errUnknown):
			return err
		case errors.As(err, &bye) && (bye.code == ByeBusy || bye.code == ByeRate) && bye.retry <= readerPatience:
			// Large documents come slowly, the others are over at once.
			r.Close()
			wait := cmp.Or(bye.retry, time.Second)
			r.log.Info("the directory asks to come again", logWait, wait)
			if !sleep(ctx, wait) {
				return ctx.Err()
			}
		case !fresh && try == 0 && ctx.Err() == nil:
			r.Close() // the stream may have ended since it was used last
		default:
			r.Close()
			return err
		}
	}
}

// open gets a stream to the bootstrap that is asked now.
func (r *Reader) open(ctx context.Context) error {
	if r.from != nil && r.sent >= readerRequests {
		r.Close()
	}
	if r.from != nil {
		return nil
	}
	list := r.bootstraps()
	a, err := ask(ctx, r.cfg.Dialer, bootstrapPeer(list[r.at%len(list)]), r.cfg.Link.ID)
	if err != nil {
		return err
	}
	r.from, r.sent = a, 0
	return nil
}
