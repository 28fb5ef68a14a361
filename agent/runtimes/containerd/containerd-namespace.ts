/** The namespace of containerd in which CRI, and with it Kubernetes, keeps its images, as its own API wants it told. */
export const kubernetesNamespace = { 'containerd-namespace': 'k8s.io' };
