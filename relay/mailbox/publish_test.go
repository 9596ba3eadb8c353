package mailbox

import (
	"bytes"
	"crypto/ed25519"
	"testing"
	"testing/synctest"
	"time"

	"hearsay/directory"
)

func testRecord(t *testing.T, owner byte, period, revision uint64, nonce byte) *directory.AddressRecord {
	t.Helper()
	seed := filled32(owner)
	r, err := directory.SealAddressRecord(testNetwork, ed25519.NewKeyFromSeed(seed[:]), period, revision, []byte("bundle"), [24]byte{nonce})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// put sends a record; the reply to the last part is left.
func (p *peer) put(key directory.BlindedKey, raw []byte) {
	p.t.Helper()
	for part := range byte(RecordParts) {
		m := &Put{Part: part, Chunk: [RecordChunk]byte(raw[int(part)*RecordChunk:])}
		if part == RecordParts-1 {
			m.Work, _ = FindWork(nil, p.auth.Nonce, PutID(key), int(p.hello.WorkBits))
		}
		p.must(CmdPut, m.Append(nil))
		if part < RecordParts-1 {
			p.want(CmdOK)
		}
	}
}

func (p *peer) get(key directory.BlindedKey, period uint64) []byte {
	p.t.Helper()
	p.must(CmdGet, Get{Key: key, Period: period}.Append(nil))
	var raw []byte
	for part := range byte(RecordParts) {
		m, err := ParseRecordPart(p.want(CmdRecord))
		if err != nil || m.Part != part {
			p.t.Fatalf("part %d: %v", part, err)
		}
		raw = append(raw, m.Chunk[:]...)
	}
	return raw
}

func TestAddressRecords(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		period := directory.PlacementPeriod(true, time.Now())
		r := testRecord(t, 1, period, 5, 1)
		p.must(CmdGet, Get{Key: r.Key, Period: period}.Append(nil))
		p.wantErr(CmdGet, CodeAuth)
		p.put(r.Key, r.Append(nil))
		p.want(CmdOK)
		for _, c := range []struct {
			name     string
			revision uint64
			nonce    byte
			code     Code
		}{{"again", 5, 1, 0}, {"same revision", 5, 2, CodeConflict}, {"lower", 4, 3, CodeConflict}, {"higher", 6, 4, 0}} {
			r = testRecord(t, 1, period, c.revision, c.nonce)
			p.put(r.Key, r.Append(nil))
			if c.code == 0 {
				p.want(CmdOK)
			} else {
				p.wantErr(CmdPut, c.code)
			}
		}
		if got := p.get(r.Key, period); !bytes.Equal(got, r.Append(nil)) {
			t.Error("the highest revision is not what is given")
		}
		s.shutdown()
		s.start()
		p = s.peer()
		defer p.session.Close()
		if got := p.get(r.Key, period); !bytes.Equal(got, r.Append(nil)) {
			t.Error("lost by a restart")
		}
		pass(time.Until(r.Forgotten(true)) + 3*Hour(true))
		p = s.peer()
		defer p.session.Close()
		p.must(CmdGet, Get{Key: r.Key, Period: period}.Append(nil))
		p.wantErr(CmdGet, CodeAuth)
	})
}

// TestForgedAddressRecord: what its owner has not signed, what is of another
// time and what nobody paid for is refused.
func TestForgedAddressRecord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := prepareServer(t, true)
		known := true
		s.cfg.SnapshotTime = func() (time.Time, bool) { return time.Now(), known }
		s.start()
		defer s.shutdown()
		period := directory.PlacementPeriod(true, time.Now())
		r := testRecord(t, 1, period, 5, 1)
		for _, at := range []int{0, 39, 47, 60, 2159} {
			p := s.peer()
			raw := r.Append(nil)
			raw[at] ^= 1
			p.put(directory.BlindedKey(raw), raw)
			p.wantErr(CmdPut, CodeAuth)
			p.session.Close()
		}
		for _, other := range []uint64{period - 1, period + 2} {
			p := s.peer()
			old := testRecord(t, 1, other, 5, 1)
			p.put(old.Key, old.Append(nil))
			p.wantErr(CmdPut, CodeLimit)
			p.session.Close()
		}
		known = false
		p := s.peer()
		defer p.session.Close()
		p.put(r.Key, r.Append(nil))
		p.wantErr(CmdPut, CodeLimit)
		known = true
		s.free = MinFree - 1
		pass(spaceCache)
		p.put(r.Key, r.Append(nil))
		p.wantErr(CmdPut, CodeFull)
		if err := p.send(CmdPut, (&Put{Part: 1}).Append(nil)); err == nil {
			t.Error("the second part without the first")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, false)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		r := testRecord(t, 1, directory.PlacementPeriod(false, time.Now()), 1, 1)
		p.hello.WorkBits = 0
		p.put(r.Key, r.Append(nil))
		p.wantErr(CmdPut, CodeWork)
		p.hello.WorkBits = WorkBits
		p.put(r.Key, r.Append(nil))
		p.want(CmdOK)
	})
}

// TestPutRate bounds what one stream can store.
func TestPutRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := startServer(t, true)
		defer s.shutdown()
		p := s.peer()
		defer p.session.Close()
		period := directory.PlacementPeriod(true, time.Now())
		for n := range byte(PutMax) {
			r := testRecord(t, n, period, 1, 1)
			p.put(r.Key, r.Append(nil))
			p.want(CmdOK)
		}
		r := testRecord(t, 99, period, 1, 1)
		p.put(r.Key, r.Append(nil))
		p.wantErr(CmdPut, CodeLimit)
	})
}
