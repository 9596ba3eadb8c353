package gossip

import (
	"crypto/sha256"
	"runtime"
	"testing"

	"hearsay/directory"
)

// TestAttackLedgerNamedAsRecords: a request names the largest document that there
// is as a record, hundreds of times over. Two bytes of answer each must not cost
// megabytes of work.
func TestAttackLedgerNamedAsRecords(t *testing.T) {
	f := found(t, true, directory.JoinOpen, 1)
	m := newMesh(t)
	n := m.addQuiet(f, "bootstrap", RoleDirectory, t.TempDir())
	ledger := Document{Raw: make([]byte, 7_200_000)} // of 50,000 relays
	ledger.Hash = sha256.Sum256(ledger.Raw)
	check(t, n.Keep(7, []Document{ledger}))
	var body []byte
	const names = 256
	for range names {
		body = append(body, ledger.Hash[:16]...)
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	b, err := n.answerRecords(body)
	check(t, err)
	runtime.ReadMemStats(&after)
	list, err := parseRecordList(b, names)
	check(t, err)
	for _, r := range list {
		if r != nil {
			t.Fatal("a ledger was given as a record")
		}
	}
	if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
		t.Errorf("%d bytes taken to answer %d", got, len(b))
	}
}
