package relay

import (
	"context"
	"crypto/rand"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"hearsay/circuit/cell"
	"hearsay/circuit/onion"
	"hearsay/directory"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// memNet is a network of switches whose streams are in memory.
type memNet struct {
	t       testing.TB
	ctx     context.Context
	network directory.NetworkID
	views   *directory.Views
	relays  []directory.Relay
	sw      []*Switch
	stop    context.CancelFunc
	wg      sync.WaitGroup
	links   context.Context // of all links, which cut ends while streams stay
	cut     context.CancelFunc
	// wrap, if set, may replace the stream from relay i to j.
	wrap func(i, j int, s stream) stream
}

func newMemNet(t testing.TB, n int, config func(i int, cfg *SwitchConfig)) *memNet {
	t.Helper()
	m := &memNet{t: t, views: new(directory.Views), network: directory.NetworkID{1}}
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.links, m.cut = context.WithCancel(m.ctx)
	keys := make([]onion.OnionKey, n)
	for i := range n {
		var priv [32]byte
		rand.Read(priv[:])
		k, err := onion.NewOnionKey(priv, 1000)
		if err != nil {
			t.Fatal(err)
		}
		keys[i] = k
		m.relays = append(m.relays, directory.Relay{ID: directory.RelayID{byte(i + 1), 7}, OnionKey: k.Public(), OnionEpoch: 1000})
	}
	m.views.Set(directory.InsecureView(m.network, true, time.Now(), m.relays))
	for i := range n {
		cfg := SwitchConfig{
			Network: m.network, ID: m.relays[i].ID, Views: m.views,
			OnionKeys: func() []onion.OnionKey { return keys[i : i+1] },
		}
		if config != nil {
			config(i, &cfg)
		}
		sw := NewSwitch(cfg)
		sw.open = func(ctx context.Context, r *directory.Relay) (stream, byte) {
			for j, other := range m.relays {
				if other.ID == r.ID {
					return m.dial(i, j), 0
				}
			}
			return nil, cell.FailUnreachable
		}
		m.sw = append(m.sw, sw)
		m.wg.Go(func() { sw.Run(m.ctx) })
	}
	return m
}

// dial opens a stream from relay i, or a client if negative, to relay j.
func (m *memNet) dial(i, j int) stream {
	near, far := memPipe()
	var id directory.RelayID
	if i >= 0 {
		id = m.relays[i].ID
	}
	key := any(near)
	m.wg.Add(1)
	go func() {
		m.sw[j].serve(key, func() *peer {
			return newPeer(id, i >= 0, netip.AddrPort{}, m.links.Done(), m.sw[j].cfg.InsecureNoRateLimits)
		}, far, func() { reset(far); m.wg.Done() })
	}()
	if m.wrap != nil {
		return m.wrap(i, j, near)
	}
	return near
}

func (m *memNet) client() *testClient { return m.clientAt(0) }

func (m *memNet) clientAt(j int) *testClient {
	return &testClient{network: m.network, s: m.dial(-1, j)}
}

func (m *memNet) close() {
	m.stop()
	m.wg.Wait()
}

// bubble runs f in virtual time with a network of n relays.
func bubble(t *testing.T, n int, config func(i int, cfg *SwitchConfig), f func(t *testing.T, m *memNet)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t, n, config)
		defer m.close()
		f(t, m)
	})
}
