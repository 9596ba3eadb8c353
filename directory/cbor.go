package directory

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/fxamacker/cbor/v2"
)

// Errors of every decoder in this package.
var (
	ErrTooLarge     = errors.New("directory: document is larger than its kind allows")
	ErrNotCanonical = errors.New("directory: not in the one canonical encoding")
)

// Implementation constants: what one document may make the decoder allocate.
const (
	maxNesting  = 8    // SPEC.md §1.1
	maxElements = 4096 // an array of a document; the byte cap binds first
	maxPairs    = 64   // a map of a document
)

// codec is the one CBOR profile of this package (SPEC.md §1.1). It is
// immutable after its construction.
type codec struct {
	enc cbor.EncMode
	dec cbor.DecMode
}

var strict = newCodec()

func newCodec() codec {
	eo := cbor.CoreDetEncOptions()
	eo.NilContainers = cbor.NilContainerAsEmpty
	eo.IndefLength = cbor.IndefLengthForbidden
	eo.TagsMd = cbor.TagsForbidden
	enc, err := eo.EncMode()
	if err != nil {
		panic(err) // the options are constants
	}
	dec, err := cbor.DecOptions{
		DupMapKey:         cbor.DupMapKeyEnforcedAPF,
		MaxNestedLevels:   maxNesting,
		MaxArrayElements:  maxElements,
		MaxMapPairs:       maxPairs,
		IndefLength:       cbor.IndefLengthForbidden,
		TagsMd:            cbor.TagsForbidden,
		ExtraReturnErrors: cbor.ExtraDecErrorUnknownField,
		FieldNameMatching: cbor.FieldNameMatchingCaseSensitive,
	}.DecMode()
	if err != nil {
		panic(err) // the options are constants
	}
	return codec{enc: enc, dec: dec}
}

// decode reads b, of at most limit bytes, into the struct that v points to and
// refuses every encoding but the one that encode makes of the result.
func decode(b []byte, limit int, v any) error {
	if len(b) > limit {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, len(b), limit)
	}
	if err := strict.dec.Unmarshal(b, v); err != nil {
		return fmt.Errorf("decode CBOR: %w", err)
	}
	again, err := strict.enc.Marshal(v)
	if err != nil {
		return fmt.Errorf("re-encode CBOR: %w", err)
	}
	if !bytes.Equal(again, b) {
		return ErrNotCanonical
	}
	return nil
}

// encode returns the one encoding of v.
func encode(v any) ([]byte, error) {
	b, err := strict.enc.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("encode CBOR: %w", err)
	}
	return b, nil
}

// extensions is the ignorable map under key 127 (SPEC.md §1.1).
type extensions map[uint64][]byte

// maxExtensions bounds the values of an extension map, in bytes.
const maxExtensions = 128

func (e extensions) check() error {
	n := 0
	for _, v := range e {
		n += len(v) + 2
	}
	if n > maxExtensions {
		return fmt.Errorf("%w: extensions of %d bytes", ErrTooLarge, n)
	}
	return nil
}
