package directory

import (
	"math/bits"
	"testing"
	"time"
)

func TestLedgerHistory(t *testing.T) {
	h := History{Key: [16]byte{1}}
	l := &Ledger{}
	at := testTime
	run := func(running, listed bool, epochs int) {
		t.Helper()
		for range epochs {
			s := l.Step(false, at, time.Minute)
			s.Run(&h, running)
			if listed {
				s.Age(&h)
			}
			s.List(&h, listed)
			l = NewLedger(at, LedgerParts{Relays: []History{h}})
			at = at.Add(time.Minute)
		}
	}
	run(true, true, 11)
	if h.FirstListed != uint32(testTime.Unix()) || h.LastListed != h.FirstListed+600 || h.Listed != 600 || h.Run != 601 || h.State != StateListed {
		t.Fatalf("after 11 epochs: %+v", h)
	}
	run(false, false, 5)
	if h.Run != 0 || h.MTBFSum != 601 || h.MTBFCount != 1 || h.State != 0 || h.Listed != 600 || h.WFUUp != 600 || h.WFUKnown != 900 {
		t.Fatalf("after an outage: %+v", h)
	}
	run(true, true, 3)
	if h.Run != 121 || h.Listed != 720 || !l.Admitted(h.Key, false, at) {
		t.Fatalf("after the return: %+v", h)
	}
	// A relay that is running but not listed grows no older, nor does one whose
	// clock is stopped.
	run(true, false, 5)
	run(true, true, 1)
	h.State |= StateStopped
	run(true, true, 5)
	if h.Listed != 720 {
		t.Errorf("age %d", h.Listed)
	}
	h.State &^= StateStopped
	ups := 0
	for _, b := range h.Ups {
		ups += bits.OnesCount8(b)
	}
	if ups < 1 || ups > 2 {
		t.Errorf("%d hours with a start", ups)
	}
	// A signer that was down credits nobody with the time.
	at = at.Add(10 * time.Hour)
	run(true, true, 1)
	if h.Listed != 840 {
		t.Errorf("age %d after an outage of the signer", h.Listed)
	}
	if at = at.Add(31 * 24 * time.Hour); l.Admitted(h.Key, false, at) {
		t.Error("admission outlives 30 days")
	}
	if !h.Keep(false, at) || h.Keep(false, at.Add(60*24*time.Hour)) {
		t.Error("history is kept for 90 days")
	}
	h.LastListed, h.HoldUntil = 0, uint32(at.Unix())+1
	if !h.Keep(false, at) || h.Keep(false, at.Add(time.Second)) {
		t.Error("a hold is kept to its end")
	}
}

func TestNobodyObservesARelayBeforeItComes(t *testing.T) {
	l := NewLedger(testTime, LedgerParts{})
	h := History{}
	l.Step(false, testTime.Add(time.Minute), time.Minute).Run(&h, true)
	if h.WFUKnown != 0 || h.Run != 1 {
		t.Fatalf("%+v", h)
	}
	l = NewLedger(testTime.Add(time.Minute), LedgerParts{})
	l.Step(false, testTime.Add(2*time.Minute), time.Minute).Run(&h, true)
	if h.WFUKnown != 60 || h.WFUUp != 60 {
		t.Fatalf("%+v", h)
	}
}

func fullLedger() *Ledger {
	return NewLedger(testTime, LedgerParts{
		Relays:   []History{{Key: [16]byte{2}, Score: 9, State: StateHeld, HoldUntil: 5}, {Key: [16]byte{1}, Lineage: 3, Ups: [90]byte{1, 89: 2}}},
		Tokens:   []TokenUse{{Nonce: [16]byte{7}, Expires: 8, Used: 3}},
		Vouchers: []Voucher{{Key: [32]byte{6}, Lineage: 2, Uses: [3]uint32{9, 8}}, {Key: [32]byte{5}, Lineage: 1}},
		Arrivals: []Arrival{{Net: [16]byte{4}, Key: [8]byte{2}, Time: 9, Family: [8]byte{1}}, {Net: [16]byte{4}, Key: [8]byte{1}, Time: 9}},
	})
}

func TestLedgerIsStored(t *testing.T) {
	l := fullLedger()
	raw := l.Append(nil)
	if want := 9 + 4*4 + 2*144 + 32 + 2*48 + 2*36; len(raw) != want {
		t.Fatalf("%d bytes, not %d", len(raw), want)
	}
	again, err := ParseLedger(raw)
	check(t, err)
	if again.Hash() != l.Hash() || again.TokenUsed([16]byte{7}) != 3 || len(again.Parts().Vouchers) != 2 {
		t.Error("the ledger changes when it is stored")
	}
	if at, ok := again.At(); !ok || !at.Equal(testTime) {
		t.Error(at)
	}
	for i := range raw {
		if _, err := ParseLedger(raw[:i]); err == nil {
			t.Fatalf("a ledger of %d bytes is read", i)
		}
	}
	if _, err := ParseLedger(append(raw, 0)); err == nil {
		t.Error("a trailing byte is read")
	}
	if v := l.Parts().Vouchers[1]; v.Left(false, time.Unix(9, 0)) != 1 || v.Left(false, time.Unix(8+90*24*3600, 0)) != 2 {
		t.Error("vouches are not spent for 90 days")
	}
}

func TestRulesHaveWords(t *testing.T) {
	for r := range Rule(30) {
		known := r >= RuleNotRunning && r <= RuleProtocol || r >= RuleHost && r <= RuleBlock || r == RuleCycling || r == RuleScore || r == RuleExcluded
		if (r.String() != "unknown rule") != known {
			t.Errorf("rule %d: %v", r, r)
		}
	}
}
