package audit

import (
	"context"
	"os"
	"strconv"
	"testing"
	"time"
)

// counted counts the bytes that a source gives.
type counted struct {
	Source
	documents, records int
}

func (c *counted) Document(ctx context.Context, hash [32]byte) ([]byte, error) {
	raw, err := c.Source.Document(ctx, hash)
	c.documents += len(raw)
	return raw, err
}

func (c *counted) Records(ctx context.Context, halves [][16]byte) ([][]byte, error) {
	list, err := c.Source.Records(ctx, halves)
	for _, raw := range list {
		c.records += len(raw)
	}
	return list, err
}

// TestAuditOfALargeNetwork audits one snapshot of a network of many relays, over
// more than one request for records. HEARSAY_AUDIT=10000 sets their number, at most
// 60,000, and prints what it costs.
func TestAuditOfALargeNetwork(t *testing.T) {
	relays := 300
	if text := os.Getenv("HEARSAY_AUDIT"); text != "" {
		var err error
		relays, err = strconv.Atoi(text)
		check(t, err)
	}
	n := newNetwork(t, relays)
	n.publishHonest(2)
	src := &counted{Source: n.reader}
	began := time.Now()
	list, gone := n.walk(src, 1)
	if len(list) != 1 || gone != nil || !list[0].OK() || list[0].Head.Header.N != uint64(relays) {
		t.Fatalf("%+v %v", list[0], gone)
	}
	t.Logf("%d relays, %d signers: votes and ledger %d kB, records %d kB, in %v",
		relays, signers, src.documents/1000, src.records/1000, time.Since(began).Round(time.Millisecond))
	s, _, err := n.reader.Snapshot(t.Context(), 0)
	check(t, err)
	c, err := Gather(t.Context(), n.reader, n.chain, &s.Head, nil)
	check(t, err)
	began = time.Now()
	e, err := c.Explain(s, n.records[0].ID)
	check(t, err)
	if !e.Listed || len(e.Differences) != 0 {
		t.Errorf("%+v", e)
	}
	t.Logf("explained in %v", time.Since(began).Round(time.Millisecond))
}
