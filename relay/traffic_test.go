package relay

import (
	"bytes"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTrafficByDayAndMonth(t *testing.T) {
	a := &ledger{}
	const mib = 1 << 20
	total := amount{}
	// 100 MiB out and 10 in on each of the days from 20 February 2027 on.
	at := time.Date(2027, 2, 20, 12, 0, 0, 0, time.UTC)
	for range 30 { // to 21 March
		total.add(amount{60 * mib, 6 * mib, 50 * mib})
		a.step(at, total)
		total.add(amount{40 * mib, 4 * mib, 30 * mib})
		a.step(at.Add(time.Hour), total)
		at = at.AddDate(0, 0, 1)
	}
	now := time.Date(2027, 3, 21, 23, 59, 0, 0, time.UTC)
	want := []TrafficReport{
		{"today", "2027-03-21", 99 + 1, 10, 80},
		{"yesterday", "2027-03-20", 100, 10, 80},
		{"month", "2027-03-01", 2100, 210, 1700},
		{"last month", "2027-02-01", 900, 90, 720},
	}
	for i, got := range a.report(now) {
		if got != want[i] {
			t.Errorf("%+v, want %+v", got, want[i])
		}
	}
	// In another zone it is the next day already; days are those of UTC.
	if got := a.report(now.In(time.FixedZone("", 7200))); got[0] != want[0] {
		t.Errorf("in another zone %+v", got[0])
	}
	if got := a.report(now.Add(time.Minute))[0]; got.SentMiB != 0 || got.From != "2027-03-22" {
		t.Errorf("at midnight %+v", got)
	}
	// The clock is set back by two days: nothing is lost, nothing falls.
	total.add(amount{sent: mib})
	a.step(now.AddDate(0, 0, -2), total)
	if got := a.report(now)[2].SentMiB; got != 2200 {
		t.Errorf("after the clock was set back %d MiB, want 2101 rounded up", got)
	}

	days, err := parseTraffic(a.encode())
	if err != nil || len(days) != 30 {
		t.Fatalf("%d days, %v", len(days), err)
	}
	for range 100 {
		at = at.AddDate(0, 0, 1)
		a.step(at, total)
	}
	if len(a.days) != trafficDays {
		t.Errorf("%d days are kept, want %d", len(a.days), trafficDays)
	}
}

func TestTrafficIsRounded(t *testing.T) {
	for n, want := range map[uint64]uint64{
		0: 0, 1: 1, 1 << 20: 1, 1<<20 + 1: 2, 99 << 20: 99, 100 << 20: 100, 101 << 20: 110, 1<<30 + 1: 1100, 999_001 << 20: 1_000_000,
		math.MaxUint64: 18_000_000_000_000,
	} {
		if got := roundMiB(n); got != want {
			t.Errorf("%d bytes are %d MiB, want %d", n, got, want)
		}
	}
}

// TestTrafficOutlivesRestarts runs a node three times: the account goes on, also
// where the file is damaged.
func TestTrafficOutlivesRestarts(t *testing.T) {
	_, home := testHomes(t)
	file := filepath.Join(home, fileTraffic)
	run := func() *Node {
		t.Helper()
		n, err := NewNode(NodeConfig{Home: home, Listen: netip.MustParseAddrPort("127.0.0.1:0"), ServeStatus: true})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	today := dayOf(time.Now())
	before := []dayAmount{{today - 1, amount{5 << 20, 6 << 20, 4 << 20}}}
	if err := os.WriteFile(file, appendTraffic(nil, before), 0o600); err != nil {
		t.Fatal(err)
	}
	n := run()
	n.openTraffic()
	n.traffic.step(time.Now(), amount{1 << 20, 2 << 20, 1 << 20})
	if err := n.home.writeLoose(fileTraffic, n.traffic.encode()); err != nil {
		t.Fatal(err)
	}
	n.Close()
	n = run()
	n.openTraffic()
	// The counters of the new process begin at zero.
	n.traffic.step(time.Now(), amount{1 << 20, 0, 0})
	if sum := n.traffic.between(time.Unix(0, 0), time.Now().Add(day)); sum != (amount{7 << 20, 8 << 20, 5 << 20}) {
		t.Errorf("after a restart: %+v", sum)
	}
	n.Close()
	if err := os.WriteFile(file, []byte{trafficVersion, 1, 2}, 0o600); err != nil {
		t.Fatal(err)
	}
	n = run()
	defer n.Close()
	if n.openTraffic(); len(n.traffic.days) != 0 {
		t.Errorf("of a damaged file: %v", n.traffic.days)
	}
	if err := CheckHome(home); err != nil {
		t.Error(err)
	}
}

func FuzzParseTraffic(f *testing.F) {
	f.Add(appendTraffic(nil, nil))
	f.Add(appendTraffic(nil, []dayAmount{{20_000, amount{1, 2, 3}}, {20_001, amount{4, 5, 6}}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		days, err := parseTraffic(b)
		if err == nil && !bytes.Equal(appendTraffic(nil, days), b) {
			t.Error("it encodes to other bytes")
		}
	})
}
