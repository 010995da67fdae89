// Package fastcgitest provides a FastCGI responder for tests, as net/http/httptest
// provides HTTP servers. It can misbehave, record by record and byte by byte, and
// works over any net.Conn, including net.Pipe in a synctest bubble.
//
//	client, server := net.Pipe()
//	go fastcgitest.Serve(server, func(r *fastcgitest.Request) fastcgitest.Response {
//		return fastcgitest.OK("hello " + r.Params["HTTP_USER"])
//	})
//
// It shares no code with package fastcgi, so that a bug there is not repeated here.
package fastcgitest

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
)

// Record types (FastCGI 1.0, section 8).
const (
	TypeBeginRequest    = 1
	TypeAbortRequest    = 2
	TypeEndRequest      = 3
	TypeParams          = 4
	TypeStdin           = 5
	TypeStdout          = 6
	TypeStderr          = 7
	TypeData            = 8
	TypeGetValues       = 9
	TypeGetValuesResult = 10
	TypeUnknownType     = 11

	// TypeReady is not part of the protocol: a worker script sends it after END_REQUEST.
	TypeReady = 101

	// TypeStored is not part of the protocol either: a worker script gets it instead of
	// STDIN if the body is in its file.
	TypeStored = 103
)

// Request is a request as the responder received it.
type Request struct {
	// ID, Role and KeepConn are the fields of BEGIN_REQUEST.
	ID       uint16
	Role     uint16
	KeepConn bool
	// Params are the parameters. Of several with the same name it has the last.
	Params map[string]string
	// ParamRecords is the number of PARAMS records with content.
	ParamRecords int
	// Body is STDIN. It is nil if the Responder is Early.
	Body []byte
	// Stored is set if TypeStored was received instead of STDIN.
	Stored bool
}

// Responder serves the requests of a connection, one after the other, as php-cgi
// does.
type Responder struct {
	// Handler returns the response to a request.
	Handler func(*Request) Response
	// Values returns the response to GET_VALUES. If it is nil, the response is
	// that of php-cgi.
	Values func() Response
	// Aborted, if not nil, is called when ABORT_REQUEST is received between requests, with
	// the id of its request.
	Aborted func(id uint16)
	// CloseAfterGetValues makes it close the connection after GET_VALUES, as PHP
	// before 8.2.13 does.
	CloseAfterGetValues bool
	// Early makes it respond when it has the parameters, and read and discard
	// STDIN after the response.
	Early bool
}

// errClosed is returned by steps that close the connection on purpose.
var errClosed = errors.New("fastcgitest: closed")

// Serve serves the requests on conn with handler until either side closes it. A
// request that is invalid by php-cgi's rules is an error.
func Serve(conn net.Conn, handler func(*Request) Response) error {
	return (&Responder{Handler: handler}).Serve(conn)
}

// Serve serves the requests on conn until either side closes it. A request that is
// invalid by php-cgi's rules is an error.
func (s *Responder) Serve(conn net.Conn) error {
	defer conn.Close()
	in := bufio.NewReaderSize(conn, 64<<10)
	for {
		err := s.serveOne(conn, in)
		switch {
		case errors.Is(err, io.EOF), errors.Is(err, errClosed), errors.Is(err, io.ErrClosedPipe):
			return nil
		case err != nil:
			return err
		}
	}
}

// serveOne serves one request, or skips an empty STDIN record.
func (s *Responder) serveOne(conn net.Conn, in *bufio.Reader) error {
	rec, err := readRecord(in)
	if err != nil {
		return err
	}
	switch {
	case rec.typ == TypeGetValues:
		return s.serveValues(conn, rec)
	case rec.typ == TypeStdin && len(rec.content) == 0:
		return nil // php-cgi skips any number of these between requests
	case rec.typ == TypeAbortRequest && s.Aborted != nil:
		s.Aborted(rec.id)
		return nil
	case rec.typ != TypeBeginRequest:
		return fmt.Errorf("fastcgitest: record of type %d between requests", rec.typ)
	}
	r, err := begin(rec)
	if err != nil {
		return err
	}
	if err := r.readParams(in); err != nil {
		return err
	}
	if s.Early {
		if err := s.Handler(r).send(conn, r.ID); err != nil {
			return err
		}
		return r.readStdin(in)
	}
	if err := r.readStdin(in); err != nil {
		return err
	}
	return s.Handler(r).send(conn, r.ID)
}

// serveValues responds to GET_VALUES.
func (s *Responder) serveValues(conn net.Conn, rec record) error {
	if rec.id != 0 {
		return fmt.Errorf("fastcgitest: GET_VALUES for request %d", rec.id)
	}
	a := Response{Values("FCGI_MPXS_CONNS", "0")}
	if s.Values != nil {
		a = s.Values()
	}
	if s.CloseAfterGetValues {
		a = append(slices.Clip(a), Close())
	}
	return a.send(conn, 0)
}

// ReadRequest reads one request, from BEGIN_REQUEST to the end of STDIN.
func ReadRequest(in io.Reader) (*Request, error) {
	rec, err := readRecord(in)
	if err != nil {
		return nil, err
	}
	r, err := begin(rec)
	if err != nil {
		return nil, err
	}
	if err := r.readParams(in); err != nil {
		return nil, err
	}
	return r, r.readStdin(in)
}

// begin decodes BEGIN_REQUEST.
func begin(rec record) (*Request, error) {
	if rec.typ != TypeBeginRequest || len(rec.content) != 8 {
		return nil, fmt.Errorf("fastcgitest: record of type %d with %d bytes, expected BEGIN_REQUEST", rec.typ, len(rec.content))
	}
	return &Request{
		ID:       rec.id,
		Role:     binary.BigEndian.Uint16(rec.content),
		KeepConn: rec.content[2]&1 != 0,
		Params:   map[string]string{},
	}, nil
}

// readParams reads PARAMS. As in php-cgi it is an error if a pair is split over two
// records, or if content and padding of a record exceed 65535 bytes.
func (r *Request) readParams(in io.Reader) error {
	for {
		rec, err := readRecord(in)
		if err != nil {
			return unexpectedEOF(err)
		}
		if rec.typ != TypeParams || rec.id != r.ID {
			return fmt.Errorf("fastcgitest: record of type %d for request %d within PARAMS of %d", rec.typ, rec.id, r.ID)
		}
		if len(rec.content)+rec.padding > 65535 {
			return fmt.Errorf("fastcgitest: PARAMS of %d bytes and %d of padding", len(rec.content), rec.padding)
		}
		if len(rec.content) == 0 {
			return nil
		}
		r.ParamRecords++
		for p := rec.content; len(p) > 0; {
			name, value, rest, err := cutPair(p)
			if err != nil {
				return err
			}
			r.Params[name] = value
			p = rest
		}
	}
}

// readStdin reads STDIN into Body.
func (r *Request) readStdin(in io.Reader) error {
	for {
		rec, err := readRecord(in)
		if err != nil {
			return unexpectedEOF(err)
		}
		if rec.typ == TypeStored && rec.id == r.ID && r.Body == nil {
			r.Stored = true
			return nil
		}
		if rec.typ != TypeStdin || rec.id != r.ID {
			return fmt.Errorf("fastcgitest: record of type %d for request %d within STDIN of %d", rec.typ, rec.id, r.ID)
		}
		if len(rec.content) == 0 {
			return nil
		}
		r.Body = append(r.Body, rec.content...)
	}
}

type record struct {
	typ     uint8
	id      uint16
	content []byte
	padding int
}

func readRecord(in io.Reader) (record, error) {
	var h [8]byte
	if _, err := io.ReadFull(in, h[:]); err != nil {
		return record{}, err
	}
	if h[0] != 1 {
		return record{}, fmt.Errorf("fastcgitest: record of version %d", h[0])
	}
	rec := record{typ: h[1], id: binary.BigEndian.Uint16(h[2:]), padding: int(h[6])}
	n := int(binary.BigEndian.Uint16(h[4:]))
	rec.content = make([]byte, n+rec.padding)
	if _, err := io.ReadFull(in, rec.content); err != nil {
		return record{}, unexpectedEOF(err)
	}
	rec.content = rec.content[:n]
	return rec, nil
}

// cutPair decodes the first name-value pair of p and returns the rest of p.
func cutPair(p []byte) (name, value string, rest []byte, err error) {
	var sizes [2]int
	for i := range sizes {
		switch {
		case len(p) > 0 && p[0] < 0x80:
			sizes[i], p = int(p[0]), p[1:]
		case len(p) >= 4:
			sizes[i], p = int(binary.BigEndian.Uint32(p)&0x7fffffff), p[4:]
		default:
			return "", "", nil, errors.New("fastcgitest: name-value pair split over two records")
		}
	}
	n, v := sizes[0], sizes[1]
	if n > len(p) || v > len(p)-n {
		return "", "", nil, errors.New("fastcgitest: name-value pair split over two records")
	}
	return string(p[:n]), string(p[n : n+v]), p[n+v:], nil
}

// unexpectedEOF turns io.EOF into io.ErrUnexpectedEOF.
func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
