package directory

import (
	"crypto/sha256"
	"errors"
	"fmt"
)

// signedRecord is what evidence needs of a descriptor or leave notice: that its
// relay signed it. Whether it is in force or admitted does not matter.
type signedRecord struct {
	id   RelayID
	seq  uint64
	body string
}

// openRecord verifies the signature of a record of any age.
func (c *Chain) openRecord(raw []byte) (signedRecord, error) {
	label := labelLeave
	doc, err := openDocument(labelLeave, raw, maxLeave)
	if errors.Is(err, ErrWrongType) || errors.Is(err, ErrTooLarge) {
		label = labelDesc
		doc, err = openDocument(labelDesc, raw, MaxDescriptor)
	}
	if err != nil {
		return signedRecord{}, err
	}
	r := signedRecord{body: string(doc.Body)}
	if label == labelDesc {
		d, err := parseDescriptorBody(doc.Body)
		if err != nil {
			return signedRecord{}, err
		}
		r.id, r.seq = d.ID, d.Seq
	} else {
		var b leaveBody
		if err := decode(doc.Body, maxLeave, &b); err != nil {
			return signedRecord{}, err
		}
		if b.V != 1 || b.Seq > maxUnix {
			return signedRecord{}, fmt.Errorf("%w: format", ErrBadDescriptor)
		}
		r.id, r.seq = b.ID, b.Seq
	}
	if checkKey(r.id) != nil || len(doc.Signatures) != 1 || !doc.signedBy(label, c.id, r.id) {
		return signedRecord{}, ErrSignature
	}
	return r, nil
}

// recordHash names a record, as Record.Hash does.
func recordHash(raw []byte) [32]byte { return sha256.Sum256(raw) }
