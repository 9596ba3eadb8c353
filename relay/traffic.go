package relay

import (
	"context"
	"encoding/binary"
	"errors"
	"os"
	"slices"
	"sync"
	"time"

	"hearsay/circuit/cell"
	"hearsay/directory"
)

// Specification constants of the account of traffic (SPEC.md §12.3).
const (
	fileTraffic    = "traffic"
	trafficVersion = 1
	trafficHead    = 2
	trafficRow     = 4 + 3*8
	trafficDays    = 62 // this month and the one before, whole
)

// errTraffic is returned for an account that is damaged.
var errTraffic = errors.New("relay: account of traffic is damaged")

// amount is how much went over the links, in bytes.
type amount struct {
	sent, received uint64 // of IP packets
	cells          uint64 // of circuits, each counted once
}

func (a *amount) add(b amount) {
	a.sent, a.received, a.cells = a.sent+b.sent, a.received+b.received, a.cells+b.cells
}

// dayAmount is that of one day in UTC, counted from 1970.
type dayAmount struct {
	day uint32
	amount
}

// ledger is what a relay has sent and received by day. It is safe for concurrent
// use.
type ledger struct {
	mu   sync.Mutex
	last amount // what the counters of this process said at the last step
	days []dayAmount
}

// appendTraffic encodes an account: version u8, number of days u8, then by rising
// days: day u32, sent, received and cells u64.
func appendTraffic(b []byte, days []dayAmount) []byte {
	b = append(b, trafficVersion, byte(len(days)))
	for _, d := range days {
		b = binary.BigEndian.AppendUint32(b, d.day)
		for _, n := range []uint64{d.sent, d.received, d.cells} {
			b = binary.BigEndian.AppendUint64(b, n)
		}
	}
	return b
}

// parseTraffic decodes what appendTraffic makes.
func parseTraffic(b []byte) ([]dayAmount, error) {
	if len(b) < trafficHead || b[0] != trafficVersion || b[1] > trafficDays || len(b) != trafficHead+int(b[1])*trafficRow {
		return nil, errTraffic
	}
	var days []dayAmount
	for b = b[trafficHead:]; len(b) > 0; b = b[trafficRow:] {
		d := dayAmount{binary.BigEndian.Uint32(b), amount{binary.BigEndian.Uint64(b[4:]), binary.BigEndian.Uint64(b[12:]), binary.BigEndian.Uint64(b[20:])}}
		if n := len(days); n > 0 && days[n-1].day >= d.day {
			return nil, errTraffic
		}
		days = append(days, d)
	}
	return days, nil
}

func dayOf(t time.Time) uint32 { return uint32(t.Unix() / int64(day/time.Second)) }

// step adds what the counters have grown by to the day of now.
func (a *ledger) step(now time.Time, total amount) {
	a.mu.Lock()
	defer a.mu.Unlock()
	grown := amount{total.sent - a.last.sent, total.received - a.last.received, total.cells - a.last.cells}
	a.last = total
	today := dayOf(now)
	i, found := slices.BinarySearchFunc(a.days, today, func(d dayAmount, day uint32) int { return int(d.day) - int(day) })
	if !found {
		a.days = slices.Insert(a.days, i, dayAmount{day: today})
	}
	a.days[i].add(grown)
	if n := len(a.days) - trafficDays; n > 0 {
		a.days = slices.Delete(a.days, 0, n)
	}
}

// between sums the days from one time until before another.
func (a *ledger) between(from, until time.Time) (sum amount) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, d := range a.days {
		if d.day >= dayOf(from) && d.day < dayOf(until) {
			sum.add(d.amount)
		}
	}
	return sum
}

// TrafficReport is what a relay has sent and received in a span of days in UTC, as
// of the last whole period, in MiB rounded up to two digits.
type TrafficReport struct {
	Span        string `json:"span"` // today, yesterday, month or last month
	From        string `json:"from"` // the first day
	SentMiB     uint64 `json:"sent_mib"`
	ReceivedMiB uint64 `json:"received_mib"`
	CellsMiB    uint64 `json:"cells_mib"` // of circuits, each counted once, on its way through
}

// report returns the spans that are shown.
func (a *ledger) report(now time.Time) []TrafficReport {
	now = now.UTC()
	today := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, time.UTC)
	month := time.Date(now.Year(), now.Month(), 1, 0, 0, 0, 0, time.UTC)
	tomorrow := today.AddDate(0, 0, 1)
	list := []TrafficReport{}
	for _, s := range []struct {
		name        string
		from, until time.Time
	}{
		{"today", today, tomorrow},
		{"yesterday", today.AddDate(0, 0, -1), today},
		{"month", month, tomorrow},
		{"last month", month.AddDate(0, -1, 0), month},
	} {
		sum := a.between(s.from, s.until)
		list = append(list, TrafficReport{s.name, s.from.Format(time.DateOnly), roundMiB(sum.sent), roundMiB(sum.received), roundMiB(sum.cells)})
	}
	return list
}

// roundMiB rounds up to MiB and to two digits.
func roundMiB(n uint64) uint64 {
	mib := n >> 20
	if n&(1<<20-1) != 0 {
		mib++
	}
	for unit := uint64(1); ; unit *= 10 {
		if up := (mib + unit - 1) / unit; up < 100 {
			return up * unit
		}
	}
}

// keepTraffic keeps the account of traffic in the home until ctx ends. That it cannot
// be written stops nothing.
func (n *Node) keepTraffic(ctx context.Context) error {
	step := func(now time.Time) {
		c, t := n.sw.Counters(), n.endpoint.Volume()
		n.traffic.step(now, amount{t.Sent, t.Received, (c.Forward + c.Backward) * cell.Size})
		if err := n.home.writeLoose(fileTraffic, n.traffic.encode()); err != nil {
			n.log.Warn("the account of traffic is not kept", logError, err)
		}
	}
	t := time.NewTicker(directory.Scale(n.chain.Current().Lab, loadPeriod))
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			step(time.Now())
			return nil
		case now := <-t.C:
			step(now)
		}
	}
}

// openTraffic reads the account of the home. One that is damaged begins anew: it is
// for the operator's information alone.
func (n *Node) openTraffic() {
	b, err := n.home.read(fileTraffic)
	if b == nil && err == nil {
		return
	}
	if err == nil {
		n.traffic.days, err = parseTraffic(b)
	}
	if err != nil {
		n.log.Warn("the account of traffic begins anew", logError, err)
	}
}

func (a *ledger) encode() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return appendTraffic(nil, a.days)
}

// writeLoose replaces a file without waiting for the disk: after a crash of the
// computer it may be an old one, or empty.
func (h *home) writeLoose(name string, b []byte) error {
	next := h.path("." + name + ".new")
	if err := os.WriteFile(next, b, 0o600); err != nil {
		return err
	}
	return os.Rename(next, h.path(name))
}
