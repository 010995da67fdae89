// Package images tests the images of examples/container, which .ci/image-test builds. It
// runs them as a container engine would: as process 1 of new namespaces, with a root file
// system that cannot be written, the user, environment, command, stop signal and health
// check that the image names. It needs root.
//
//	container_test.go the images, and how they are run
//	images_test.go    the tests
package images
