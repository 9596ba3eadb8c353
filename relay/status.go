package relay

import (
	"fmt"
	"math/bits"
	"sync"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// loadPeriod is how long the load is averaged over, and how often it moves
// (SPEC.md §12.2): a finer figure would tell when clients come and go.
const loadPeriod = 15 * time.Minute

// StatusReport is what a running relay says of itself on its status socket
// (SPEC.md §12.2). Figures of clients are rounded.
type StatusReport struct {
	V        int    `json:"v"`
	Type     string `json:"type"` // status
	Software string `json:"software"`
	ID       string `json:"id"`
	Listen   string `json:"listen"`
	Network  string `json:"network"`
	Lab      bool   `json:"lab"`
	Since    string `json:"since"` // when it started

	Listed     bool     `json:"listed"`
	Verdict    string   `json:"verdict"` // last word of a bootstrap on the own descriptor; empty: none yet
	Flags      []string `json:"flags"`
	GuardKiB   uint64   `json:"guard_kib_s"` // weights
	InnerKiB   uint64   `json:"inner_kib_s"`
	MailboxKiB uint64   `json:"mailbox_kib_s"`

	Epoch         uint64 `json:"epoch"` // 0: no snapshot yet
	SnapshotTime  string `json:"snapshot_time"`
	SnapshotAge   int    `json:"snapshot_age_seconds"`
	SnapshotState string `json:"snapshot_state"`
	Relays        int    `json:"relays"`
	Peers         int    `json:"peers"`   // nodes with a gossip stream
	Records       int    `json:"records"` // descriptors held

	Circuits    int    `json:"circuits"`
	RelayLinks  int    `json:"relay_links"`
	ClientLinks int    `json:"client_links"`
	Queues      int    `json:"queues"`
	Blocks      int    `json:"blocks"`
	LoadKiB     uint64 `json:"load_kib_s"` // cells of circuits, both ways, of the last period
	LimitKiB    uint64 `json:"limit_kib_s"`
	SpaceKiB    uint64 `json:"mailbox_limit_kib"`
	Nick        string `json:"nickname"`
	Contact     string `json:"contact"`
	// Traffic is of today, yesterday, this month and the last one.
	Traffic  []TrafficReport `json:"traffic"`
	Warnings []struct {
		Kind string `json:"kind"`
		Text string `json:"text"`
	} `json:"warnings"`
}

// warn adds a warning.
func (r *StatusReport) warn(kind, text string) {
	r.Warnings = append(r.Warnings, struct {
		Kind string `json:"kind"`
		Text string `json:"text"`
	}{kind, text})
}

// report says how the node stands.
func (n *Node) report(now, since time.Time, load uint64) *StatusReport {
	file := n.gossip.Chain().Current()
	g := n.gossip.Status()
	own := n.Settings()
	r := &StatusReport{
		V: 1, Type: "status", Software: n.cfg.Software, ID: n.ID().String(), Listen: n.Addr().String(),
		Network: file.Name, Lab: file.Lab, Since: statusTime(since), Flags: []string{},
		Listed: g.Listed, Epoch: g.Epoch, Peers: g.Peers, Records: g.Records,
		Circuits: roundUp(n.sw.Circuits()), LoadKiB: load, LimitKiB: uint64(own.Bandwidth) >> 10,
		SpaceKiB: uint64(own.MailboxSpace) >> 10, Nick: own.Nick, Contact: own.Contact,
		Traffic: n.traffic.report(now),
	}
	if g.Heard {
		r.Verdict = g.Verdict.String()
	}
	r.RelayLinks, r.ClientLinks = n.endpoint.Count()
	r.ClientLinks = roundUp(r.ClientLinks)
	m := n.mailbox.Stats()
	r.Queues, r.Blocks = roundUp(m.Queues), roundUp(m.Blocks)
	r.snapshot(n, now)
	for _, w := range n.views.Warnings(now) {
		r.warn(string(w.Kind), w.Text)
	}
	if n.publishedElsewhere() {
		r.warn("identity", "a newer descriptor of this relay was not made here: another computer runs with its keys, or its home was put back from an older copy")
	}
	if g.Differing > 0 {
		r.warn("heads", "other nodes hold signed snapshots that deny this relay's history")
	}
	if g.Missing > 0 {
		r.warn("descriptor", "relays that were asked unknown do not give out this relay's descriptor; they were given it once more")
	}
	if file.ExpiresSoon(now) {
		r.warn("network file", "the network file expires on "+file.Expires.UTC().Format(time.DateOnly)+"; its founders renew it")
	}
	return r
}

// snapshot says what the newest snapshot says of this relay.
func (r *StatusReport) snapshot(n *Node, now time.Time) {
	r.Warnings = make([]struct {
		Kind string `json:"kind"`
		Text string `json:"text"`
	}, 0)
	v := n.views.Current()
	if v == nil {
		r.warn("no snapshot", "no snapshot of the network has come yet")
		return
	}
	age := now.Sub(v.ValidAfter())
	r.SnapshotTime, r.SnapshotAge = statusTime(v.ValidAfter()), int(age/time.Second)
	r.SnapshotState, r.Relays = v.State(now).String(), len(v.Relays())
	if age > 3*v.EpochLength() {
		r.warn("old snapshot", fmt.Sprintf("two epochs have passed without a new snapshot; the newest is %v old", age.Round(time.Second)))
	}
	if own, ok := v.Relay(n.ID()); ok {
		r.Flags = append(r.Flags, own.Flags.Names()...)
		r.GuardKiB, r.InnerKiB, r.MailboxKiB = own.Guard>>20, own.Inner>>20, own.Mailbox>>20
	}
}

func statusTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000Z07:00") }

// roundUp rounds to the next power of two: enough to see whether a relay is in
// use, too little to count people.
func roundUp(n int) int {
	if n <= 0 {
		return 0
	}
	return 1 << bits.Len(uint(n-1))
}

// meter averages the load over whole periods. It is safe for concurrent use.
type meter struct {
	mu    sync.Mutex
	at    time.Time
	cells uint64
	last  uint64 // KiB/s of the last whole period
	ended bool   // there was one
}

// read returns the load of the last whole period; before there is one, that since
// the start. cells are all that passed so far.
func (m *meter) read(now time.Time, cells uint64, lab bool) uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	passed := now.Sub(m.at)
	rate := rateOf(cells-m.cells, passed)
	if passed >= directory.Scale(lab, loadPeriod) {
		m.at, m.cells, m.last, m.ended = now, cells, rate, true
	}
	if m.ended {
		return m.last
	}
	return rate
}

// rateOf returns KiB/s with two significant digits.
func rateOf(cells uint64, d time.Duration) uint64 {
	if d < time.Second {
		return 0
	}
	rate := cells * cell.Size / 1024 / uint64(d/time.Second)
	for unit := uint64(1); ; unit *= 10 {
		if rate/unit < 100 {
			return rate / unit * unit
		}
	}
}
