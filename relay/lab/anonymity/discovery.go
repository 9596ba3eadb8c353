package anonymity

import (
	"encoding/binary"
	"math/rand/v2"
	"net/netip"
	"time"

	"hearsay/circuit/path"
	"hearsay/directory"
)

// Discovery is how many circuits of one client a hostile mailbox relay sees
// until it knows the client's guard: the only relay that was never the middle.
type Discovery struct {
	Relays        int
	Estimate      int // five times the relays
	P10, P50, P90 float64
	Runs          int
	Unfinished    int // runs that did not end within 40 times the relays
	// GuardAsMiddle is, for the alternative that lets the guard be the middle
	// too, the share of circuits in which one relay then sees both the client's
	// address and the mailbox relay. The elimination above ends nowhere there.
	// Only the laboratory draws such paths.
	GuardAsMiddle float64
}

// circuitEvery is how long a contact's circuits last in the simulation: 24 an
// hour, the most that chat builds.
const circuitEvery = 150 * time.Second

// Discover runs the real selection of paths.
func Discover(seed uint64, relays, runs int) Discovery {
	d := Discovery{Relays: relays, Estimate: 5 * relays, Runs: runs}
	var needed []float64
	both, all := 0, 0
	for run := range runs {
		rnd := rand.New(rand.NewPCG(seed, uint64(run)))
		n, ok := discoverOnce(rnd, relays)
		if !ok {
			d.Unfinished++
			continue
		}
		needed = append(needed, float64(n))
		// The alternative: any relay but the layer-2 guard and the destination,
		// all weights being equal.
		for range n {
			all++
			if rnd.IntN(relays-2) == 0 {
				both++
			}
		}
	}
	d.P10, d.P50, d.P90 = Quantile(needed, 0.1), Quantile(needed, 0.5), Quantile(needed, 0.9)
	if all > 0 {
		d.GuardAsMiddle = float64(both) / float64(all)
	}
	return d
}

// discoverOnce counts the circuits until all relays but one, and the mailbox
// relay itself, were seen as the middle.
func discoverOnce(rnd *rand.Rand, n int) (circuits int, ok bool) {
	network := directory.NetworkID{9}
	now := time.Unix(1_000_000_000, 0)
	relays := make([]directory.Relay, n)
	for i := range relays {
		r := &relays[i]
		binary.BigEndian.PutUint64(r.ID[:], rnd.Uint64())
		r.Flags = directory.FlagGuard | directory.FlagStable | directory.FlagMailbox
		r.Guard, r.Inner, r.Mailbox = 1<<30, 1<<30, 1<<30
		r.Addrs = []netip.AddrPort{netip.AddrPortFrom(netip.AddrFrom4([4]byte{byte(20 + i/200), byte(1 + i%200), 1, 1}), 4443)}
	}
	view := directory.InsecureView(network, false, now, relays)
	s := path.New(network, false, rnd)
	s.Update(view, directory.Fresh, now)
	x := relays[rnd.IntN(n)].ID
	middles := make(map[directory.RelayID]bool)
	for circuits = 1; circuits <= 40*n; circuits++ {
		now = now.Add(circuitEvery)
		if circuits%24 == 0 {
			s.Update(view, directory.Fresh, now)
		}
		p, err := s.Path(now, x)
		if err != nil {
			return circuits, false
		}
		middles[p.Middle.ID] = true
		if len(middles) == n-2 {
			return circuits, !middles[p.Guard.ID]
		}
	}
	return circuits, false
}
