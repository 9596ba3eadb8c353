package abuse

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"hearsay/circuit/cell"
)

func itoa(n int) string { return strconv.Itoa(n) }

// stages are where a slow peer stops.
var stages = []struct {
	name string
	stop func(ctx context.Context, f *foe) error
}{
	{"before LINK_HELLO", func(context.Context, *foe) error { return nil }},
	{"within LINK_HELLO", func(_ context.Context, f *foe) error {
		return f.begin(helloCell(f.target.Network)[:600])
	}},
	{"after LINK_HELLO", func(_ context.Context, f *foe) error {
		_, err := f.hello()
		return err
	}},
	{"within the first cell", func(_ context.Context, f *foe) error {
		if _, err := f.hello(); err != nil {
			return err
		}
		return f.begin([]byte{byte(cell.Create), 0, cell.FirstOfTwo})
	}},
	{"between the fragments of CREATE", func(_ context.Context, f *foe) error {
		if _, err := f.hello(); err != nil {
			return err
		}
		c, err := newCreate(f.target, 0)
		if err != nil {
			return err
		}
		return f.begin(c.cells[:cell.Size])
	}},
	{"within a cell of a circuit", func(ctx context.Context, f *foe) error {
		if _, err := f.hello(); err != nil {
			return err
		}
		c, err := f.open(ctx)
		if err != nil {
			return err
		}
		b, err := c.seal(0, cell.Message{Command: cell.Drop})
		if err != nil {
			return err
		}
		_, err = c.s.Write(b[:1000])
		return err
	}},
	{"between the fragments of EXTEND", func(ctx context.Context, f *foe) error {
		if _, err := f.hello(); err != nil {
			return err
		}
		c, err := f.open(ctx)
		if err != nil {
			return err
		}
		m := cell.SplitExtend(f.target.Relay.ID, make([]byte, cell.CreateSize))
		b, err := c.seal(0, m[0])
		if err != nil {
			return err
		}
		_, err = c.s.Write(b)
		return err
	}},
}

// begin opens a stream and writes something.
func (f *foe) begin(b []byte) error {
	s, err := f.conn.OpenStream()
	if err != nil {
		return err
	}
	_, err = s.Write(b)
	return err
}

// slowloris holds n links at each stage until the attack ends.
func (a *attacker) slowloris(n int) (any, error) {
	errs := make(chan error, n*len(stages))
	a.background(func(stop <-chan struct{}) {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-stop; cancel() }()
		defer cancel()
		var wg sync.WaitGroup
		for _, stage := range stages {
			for range n {
				wg.Go(func() {
					var held *foe
					errs <- persist(func() error {
						f, err := newFoe(a.target)
						if err != nil {
							return err
						}
						if err = f.dial(ctx, foeConfig(64<<10), foeTLS()); err == nil {
							err = stage.stop(ctx, f)
						}
						if err != nil {
							f.close()
							return err
						}
						held = f
						return nil
					})
					<-ctx.Done()
					if held != nil {
						held.close()
					}
				})
			}
		}
		wg.Wait()
	})
	for range n * len(stages) {
		if err := <-errs; err != nil {
			return nil, err
		}
	}
	return n * len(stages), nil
}

// TestAbuseSlowloris holds links that stop at each stage.
func TestAbuseSlowloris(t *testing.T) {
	w := newWorld(t, worldConfig{})
	var n int
	w.attacker.call("slowloris", size(4, 60), &n)
	began := time.Now()
	if full {
		for {
			var s stats
			w.victim.call("stats", none{}, &s)
			if s.Circuits == 0 || time.Since(began) > time.Minute {
				timed(t, fmt.Sprintf("%d slow links: circuits held for", n), time.Since(began), 20*time.Second, "")
				break
			}
			<-time.After(100 * time.Millisecond)
		}
	}
	w.attacker.call("end", none{}, nil)
	w.below(fmt.Sprintf("%d slow links", n), 256)
	w.after("slow links", 64)
}

// resetArgs say how long streams are opened and reset.
type resetArgs struct {
	Links int
	For   time.Duration
}

// resetResult tells how many streams were opened in what time.
type resetResult struct {
	Opened int
	Took   time.Duration
}

// rapidReset opens streams and resets them at once.
func (a *attacker) rapidReset(args resetArgs) (any, error) {
	ctx, cancel := context.WithTimeout(context.Background(), args.For)
	defer cancel()
	began := time.Now()
	var opened atomic.Int64
	var wg sync.WaitGroup
	for range args.Links {
		wg.Go(func() {
			f, err := connect(ctx, a.target, 64<<10)
			if err != nil {
				return
			}
			defer f.close()
			for {
				s, err := f.conn.OpenStreamSync(ctx)
				if err != nil {
					return
				}
				opened.Add(1)
				_, _ = s.Write([]byte{byte(cell.Create)})
				reset(s)
			}
		})
	}
	wg.Wait()
	return resetResult{int(opened.Load()), time.Since(began)}, nil
}

// TestAbuseRapidReset opens streams and resets them at once, on links of its
// own: each gets no more than its rate.
func TestAbuseRapidReset(t *testing.T) {
	w := newWorld(t, worldConfig{})
	args := resetArgs{Links: size(4, 40), For: time.Duration(size(2, 30)) * time.Second}
	var r resetResult
	w.attacker.call("reset", args, &r)
	most := args.Links * (64 + 30 + 3*int(r.Took/time.Second) + 3) // those in flight, burst and rate
	results.check(t, "rapid reset: streams opened", r.Opened <= most, itoa(r.Opened), fmt.Sprintf("≤ %d", most))
	w.below("rapid reset", 256)
	w.after("rapid reset", 64)
}
