package fastcgi

import (
	"bytes"
	"encoding/binary"
)

// AppendPair appends an encoded name-value pair (FastCGI 1.0, section 3.4) to
// dst. If the pair cannot be sent, it returns dst unchanged and a [*ParamError].
func AppendPair(dst []byte, name, value string) ([]byte, error) {
	if err := checkPair(name, len(value)); err != nil {
		return dst, err
	}
	start := len(dst)
	dst = appendLength(dst, len(name))
	dst = appendLength(dst, len(value))
	text := len(dst)
	dst = append(dst, name...)
	dst = append(dst, value...)
	if bytes.IndexByte(dst[text:], 0) >= 0 {
		return dst[:start], &ParamError{Name: truncate(name), Size: len(dst) - start, NUL: true}
	}
	return dst, nil
}

// EncodePairs encodes name-value pairs for [Request.AddEncoded], to be done once
// for parameters that are the same in many requests. The error is a
// [*ParamError].
func EncodePairs(pairs ...[2]string) ([]byte, error) {
	var block []byte
	for _, p := range pairs {
		var err error
		if block, err = AppendPair(block, p[0], p[1]); err != nil {
			return nil, err
		}
	}
	return block, nil
}

// pairSize returns the encoded size of a pair.
func pairSize(name, value int) int { return lengthSize(name) + lengthSize(value) + name + value }

// checkPair returns a *ParamError if the pair does not fit into a record.
func checkPair(name string, value int) error {
	if n := pairSize(len(name), value); n > maxContent {
		return &ParamError{Name: truncate(name), Size: n}
	}
	return nil
}

// truncate shortens s for an error message.
func truncate(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}

// lengthSize returns the size of an encoded length: one byte below 128, else
// four.
func lengthSize(n int) int {
	if n < 128 {
		return 1
	}
	return 4
}

// appendLength appends an encoded length (FastCGI 1.0, section 3.4).
func appendLength(dst []byte, n int) []byte {
	if n < 128 {
		return append(dst, byte(n))
	}
	return binary.BigEndian.AppendUint32(dst, uint32(n)|1<<31)
}

// readLength decodes a length at the start of p. size is the size of the encoded
// length, 0 if p is too short.
func readLength(p []byte) (n, size int) {
	switch {
	case len(p) == 0:
		return 0, 0
	case p[0] < 128:
		return int(p[0]), 1
	case len(p) < 4:
		return 0, 0
	}
	return int(binary.BigEndian.Uint32(p) &^ (1 << 31)), 4
}

// nextPair decodes the first pair of an encoded block. size is its encoded size,
// 0 if the block does not begin with a whole pair.
func nextPair(p []byte) (name, value []byte, size int) {
	nameLen, a := readLength(p)
	if a == 0 {
		return nil, nil, 0
	}
	valueLen, b := readLength(p[a:])
	if b == 0 {
		return nil, nil, 0
	}
	rest := p[a+b:]
	// Each length has 31 bits, so their sum may overflow an int of 32 bits.
	if nameLen > len(rest) || valueLen > len(rest)-nameLen {
		return nil, nil, 0
	}
	return rest[:nameLen], rest[nameLen : nameLen+valueLen], a + b + nameLen + valueLen
}

// wholePairs returns the size of the whole pairs at the start of block that fit
// into limit bytes.
func wholePairs(block []byte, limit int) int {
	n := 0
	for n < len(block) {
		_, _, size := nextPair(block[n:])
		if size == 0 || n+size > limit {
			break
		}
		n += size
	}
	return n
}

// appendHeaderName appends the CGI name of an HTTP header without the HTTP_
// prefix: in upper case, with '_' for '-' (RFC 3875, section 4.1.18).
func appendHeaderName(dst []byte, name string) []byte {
	for i := range len(name) {
		c := name[i]
		switch {
		case 'a' <= c && c <= 'z':
			c -= 'a' - 'A'
		case c == '-':
			c = '_'
		}
		dst = append(dst, c)
	}
	return dst
}
