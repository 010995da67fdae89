package fastcgi

import "encoding/binary"

// recordType is the type of a FastCGI record (FastCGI 1.0, section 8).
type recordType uint8

const (
	typeBeginRequest    recordType = 1
	typeAbortRequest    recordType = 2
	typeEndRequest      recordType = 3
	typeParams          recordType = 4
	typeStdin           recordType = 5
	typeStdout          recordType = 6
	typeStderr          recordType = 7
	typeData            recordType = 8
	typeGetValues       recordType = 9
	typeGetValuesResult recordType = 10
	typeUnknownType     recordType = 11
	// typeOtherRequest is not part of the protocol. It marks a record of an
	// earlier request, which is skipped.
	typeOtherRequest recordType = 255
)

const (
	version1      = 1
	headerLen     = 8
	maxContent    = 65535 // contentLength has 16 bits; php-cgi limits PARAMS content and padding to this
	roleResponder = 1
	flagKeepConn  = 1

	// requestID is a placeholder in encoded records: see setRequestID.
	requestID = 1
	// managementID is the id of management records, which belong to no request
	// (FastCGI 1.0, section 3.3).
	managementID = 0

	// endRequestLen is the content length of END_REQUEST.
	endRequestLen = 8
)

// endStatus is END_REQUEST's protocolStatus (FastCGI 1.0, section 5.5).
type endStatus uint8

const (
	requestComplete endStatus = 0
	cantMultiplex   endStatus = 1
	overloaded      endStatus = 2
	unknownRole     endStatus = 3
)

func (s endStatus) String() string {
	switch s {
	case requestComplete:
		return "REQUEST_COMPLETE"
	case cantMultiplex:
		return "CANT_MPX_CONN"
	case overloaded:
		return "OVERLOADED"
	case unknownRole:
		return "UNKNOWN_ROLE"
	}
	return "an unknown protocol status"
}

// header is the header of a record (FastCGI 1.0, section 3.3).
type header struct {
	version uint8
	typ     recordType
	id      uint16
	content int
	padding int
}

// parseHeader decodes the header at the start of p, which must have at least
// headerLen bytes.
func parseHeader(p []byte) header {
	_ = p[headerLen-1]
	return header{
		version: p[0],
		typ:     recordType(p[1]),
		id:      binary.BigEndian.Uint16(p[2:]),
		content: int(binary.BigEndian.Uint16(p[4:])),
		padding: int(p[6]),
	}
}

// appendHeader appends the header of a record without padding. Padding is
// optional (FastCGI 1.0, section 3.3), and php-cgi makes no use of it.
func appendHeader(dst []byte, typ recordType, id uint16, content int) []byte {
	return append(dst, version1, byte(typ), byte(id>>8), byte(id), byte(content>>8), byte(content), 0, 0)
}

// putContentLength sets the content length of the header at the start of p.
func putContentLength(p []byte, n int) {
	binary.BigEndian.PutUint16(p[4:], uint16(n))
}

// appendBeginRequest appends a BEGIN_REQUEST record.
func appendBeginRequest(dst []byte) []byte {
	dst = appendHeader(dst, typeBeginRequest, requestID, 8)
	return append(dst, 0, roleResponder, flagKeepConn, 0, 0, 0, 0, 0)
}

// setRequestID sets the request id of all records in p, which must be complete.
func setRequestID(p []byte, id uint16) {
	for len(p) >= headerLen {
		binary.BigEndian.PutUint16(p[2:], id)
		h := parseHeader(p)
		p = p[min(len(p), headerLen+h.content+h.padding):]
	}
}
