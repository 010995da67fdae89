package examples

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	autoscalingv2 "k8s.io/api/autoscaling/v2"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// manifests are the objects of shop.yaml. A field that the API does not have is an error.
type manifests struct {
	config     corev1.ConfigMap
	deployment appsv1.Deployment
	service    corev1.Service
	budget     policyv1.PodDisruptionBudget
	scaler     autoscalingv2.HorizontalPodAutoscaler
}

func read(t *testing.T) *manifests {
	t.Helper()
	text, err := os.ReadFile("../../examples/kubernetes/shop.yaml")
	if err != nil {
		t.Fatal(err)
	}
	m := &manifests{}
	objects := map[string]any{
		"ConfigMap": &m.config, "Deployment": &m.deployment, "Service": &m.service,
		"PodDisruptionBudget": &m.budget, "HorizontalPodAutoscaler": &m.scaler,
	}
	for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
		var kind struct{ Kind string }
		if err := yaml.Unmarshal(document, &kind); err != nil {
			t.Fatal(err)
		}
		object := objects[kind.Kind]
		if object == nil {
			t.Fatalf("unexpected kind %s", kind.Kind)
		}
		delete(objects, kind.Kind)
		if err := yaml.UnmarshalStrict(document, object); err != nil {
			t.Errorf("%s: %v", kind.Kind, err)
		}
	}
	for kind := range objects {
		t.Errorf("there is no %s", kind)
	}
	return m
}

func TestKubernetes_ProbesAndPorts(t *testing.T) {
	m := read(t)
	pod := m.deployment.Spec.Template.Spec
	container := pod.Containers[0]
	ports := map[string]int32{}
	for _, p := range container.Ports {
		ports[p.Name] = p.ContainerPort
	}
	caddyfile := m.config.Data["Caddyfile"]
	for name, probe := range map[string]*corev1.Probe{"/ready": container.ReadinessProbe, " /ready": container.StartupProbe, "/live": container.LivenessProbe} {
		path := strings.TrimSpace(name)
		if probe == nil || probe.HTTPGet == nil || probe.HTTPGet.Path != path || probe.HTTPGet.Port != intstr.FromString("probes") {
			t.Errorf("the probe of %s: got %+v", path, probe)
		}
		site := siteOf(caddyfile, ports["probes"])
		if !strings.Contains(site, " "+path+" ") {
			t.Errorf("the site of the probes does not have %s: %s", path, site)
		}
	}
	if target := m.service.Spec.Ports[0].TargetPort.String(); siteOf(caddyfile, ports[target]) == "" {
		t.Errorf("no site listens on the port %s of the Service", target)
	}
	for _, labels := range []map[string]string{m.service.Spec.Selector, m.deployment.Spec.Selector.MatchLabels, m.budget.Spec.Selector.MatchLabels} {
		for key, value := range labels {
			if m.deployment.Spec.Template.Labels[key] != value {
				t.Errorf("the selector %s=%s does not match the pods", key, value)
			}
		}
	}
	if m.scaler.Spec.ScaleTargetRef.Name != m.deployment.Name {
		t.Errorf("the autoscaler scales %s", m.scaler.Spec.ScaleTargetRef.Name)
	}
	volumes := map[string]bool{}
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
	}
	for _, mount := range container.VolumeMounts {
		if !volumes[mount.Name] {
			t.Errorf("there is no volume %s", mount.Name)
		}
	}
	// What the image of examples/container writes, as the root file system is read-only.
	image := file(t, "container/Containerfile")
	for _, path := range []string{"/data", "/config", "/tmp"} {
		if !slices.ContainsFunc(container.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == path }) {
			t.Errorf("%s cannot be written", path)
		}
	}
	if *pod.SecurityContext.RunAsUser != 1000 || !strings.Contains(image, "\nUSER 1000:1000\n") {
		t.Errorf("got user %d, want that of the image", *pod.SecurityContext.RunAsUser)
	}
	if container.Resources.Limits.Memory().IsZero() {
		t.Error("without a limit of memory, max_workers auto uses that of the machine")
	}
}

// siteOf returns the site on a port, or "" if no site listens there.
func siteOf(caddyfile string, port int32) string {
	_, rest, found := strings.Cut(caddyfile, "\n:"+strconv.Itoa(int(port))+" {\n")
	site, _, _ := strings.Cut(rest, "\n}\n")
	if !found {
		return ""
	}
	return site
}

// duration returns the value of an option.
func duration(t *testing.T, text, pattern string) time.Duration {
	t.Helper()
	m := regexp.MustCompile(`(?m)` + pattern).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("%s does not match", pattern)
	}
	d, err := time.ParseDuration(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// The time that a pod, a container and a service have to stop is enough for Caddy, and for
// one with the default of stop_timeout as well.
func TestGracePeriods(t *testing.T) {
	m := read(t)
	caddyfile := m.config.Data["Caddyfile"]
	needed := duration(t, caddyfile, `^\s*shutdown_delay (\S+)$`) + duration(t, caddyfile, `^\s*stop_timeout (\S+)$`)
	options, err := os.ReadFile("../../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	byDefault := duration(t, caddyfile, `^\s*shutdown_delay (\S+)$`) + duration(t, string(options), "^\\| `stop_timeout <duration>` .*\\| `?(\\w+)`? \\|$")
	for name, got := range map[string]time.Duration{
		"terminationGracePeriodSeconds": time.Duration(*m.deployment.Spec.Template.Spec.TerminationGracePeriodSeconds) * time.Second,
		"stop_grace_period":             duration(t, file(t, "compose.yaml"), `^\s*stop_grace_period: (\S+)$`),
		"TimeoutStopSec":                duration(t, file(t, "systemd/caddy@.service"), `^TimeoutStopSec=(\S+)$`),
	} {
		if got < needed+5*time.Second || got < byDefault+5*time.Second {
			t.Errorf("%s: got %v, want 5s more than %v and %v", name, got, needed, byDefault)
		}
	}
	// The probe has to fail while the pod still serves.
	probe := m.deployment.Spec.Template.Spec.Containers[0].ReadinessProbe
	if noticed := time.Duration(probe.PeriodSeconds*probe.FailureThreshold) * time.Second; 2*noticed > duration(t, caddyfile, `^\s*shutdown_delay (\S+)$`) {
		t.Errorf("the readiness probe needs %v", noticed)
	}
}

func file(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile("../../examples/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
