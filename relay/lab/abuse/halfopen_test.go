package abuse

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// halfOpen starts handshakes and stops in the middle of each: the client's
// side of TLS waits, so that nothing more is sent. What the victim refuses or
// gives up begins anew, until the attack ends. It returns when each has begun.
func (a *attacker) halfOpen(n int) (any, error) {
	tried := make(chan struct{}, n)
	a.background(func(stop <-chan struct{}) {
		ctx, cancel := context.WithCancel(context.Background())
		go func() { <-stop; cancel() }()
		defer cancel()
		wait := func(d time.Duration) {
			select {
			case <-ctx.Done():
			case <-time.After(d):
			}
		}
		var wg sync.WaitGroup
		var sockets []*quic.Transport
		for range max(1, n/64) {
			f, err := newFoe(a.target)
			if err != nil {
				return
			}
			sockets = append(sockets, f.tr)
		}
		for i := range n {
			wg.Go(func() {
				for ctx.Err() == nil {
					f := &foe{target: a.target, tr: sockets[i%len(sockets)]}
					tc := foeTLS()
					tc.VerifyConnection = func(tls.ConnectionState) error {
						wait(11 * time.Second) // the victim has given up
						return errors.New("enough")
					}
					select {
					case tried <- struct{}{}:
					default:
					}
					if f.dial(ctx, foeConfig(64<<10), tc) != nil {
						wait(time.Second)
					}
				}
			})
		}
		wg.Wait()
		for _, tr := range sockets {
			_ = tr.Close()
			_ = tr.Conn.Close()
		}
	})
	for range n {
		<-tried
	}
	<-time.After(time.Second)
	return n, nil
}

// TestAbuseHalfOpenHandshakes holds many handshakes open that never go on. An
// honest client gets in all the same.
func TestAbuseHalfOpenHandshakes(t *testing.T) {
	w := newWorld(t, worldConfig{})
	n := size(150, 2000)
	w.attacker.call("halfopen", n, nil)
	var s stats
	w.victim.call("settle", none{}, &s)
	each := (s.RSS - w.base.RSS) / int64(n)
	if full {
		results.check(t, "half-open handshakes: memory each", each <= 16<<10, fmt.Sprintf("%.1f KiB", float64(each)/1024), "≤ 16 KiB")
	}
	var got loadResult
	w.honest.call("connect", loadArgs{Count: size(5, 60), Every: 100 * time.Millisecond}, &got)
	t.Logf("connects: %+v", got)
	results.check(t, fmt.Sprintf("%d half-open handshakes: honest connects that failed", n), got.Failed == 0, fmt.Sprintf("%d of %d", got.Failed, got.Failed+got.Took.N), "0")
	timed(t, fmt.Sprintf("%d half-open handshakes: honest connect, slowest", n), got.Took.Max, 2*time.Second, fmt.Sprintf("(p50 %v)", got.Took.P50.Round(time.Millisecond)))
	w.attacker.call("end", none{}, nil)
	w.below(fmt.Sprintf("%d half-open handshakes", n), 256)
	w.after("half-open handshakes", 64)
}
