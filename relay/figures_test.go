package relay

import "testing"

// TestFiguresCountNoBlocks: no two numbers of blocks and queues within one step give
// two figures, and that of bytes is one of them.
func TestFiguresCountNoBlocks(t *testing.T) {
	first := Figures{}
	first.mailbox(1, 1)
	for _, n := range []int64{2, 3, 100, 1023, 1024} {
		var f Figures
		f.mailbox(n, n)
		if f.Queues != first.Queues || f.Blocks != first.Blocks || f.MailboxBytes != first.MailboxBytes {
			t.Errorf("%d queues and blocks show %+v, one shows %+v", n, f, first)
		}
	}
	if first.MailboxBytes%figureStep != 0 || first.MailboxBytes == 0 {
		t.Errorf("bytes %d", first.MailboxBytes)
	}
	var none Figures
	if none.mailbox(0, 0); none.MailboxBytes != 0 {
		t.Errorf("an empty mailbox takes %d bytes", none.MailboxBytes)
	}
}
