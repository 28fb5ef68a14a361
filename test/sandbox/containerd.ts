import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import http2 from 'node:http2';
import net from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { createNodeProgram, type NodeProgram } from './node-program.ts';

const run = promisify(execFile);

/** Where a containerd has its directories, and what it knows. */
export type ContainerdOptions = {
  /** A directory of at most 70 bytes, because the path of a Unix socket is limited to 107. */
  readonly nodeRoot: string;
  readonly logFile: string;
  /** The names that stand for 127.0.0.1, and whom alone it asks for others; as on this machine if not given. */
  readonly names?: { readonly local: readonly string[]; readonly server: string } | undefined;
};

/** A containerd of our own, on a directory that stands in for a node's `/`. */
export type Containerd = NodeProgram & {
  /** Runs `ctr` on it in the namespace of the kubelet (`k8s.io`) and returns the standard output. */
  ctr(...args: string[]): Promise<string>;
};

/** Describes a private containerd that listens at NODE_ROOT/run/containerd/containerd.sock; see `createNodeProgram`. */
export function createContainerd(options: ContainerdOptions): Containerd {
  const { names } = options;
  const program = createNodeProgram({
    ...options,
    name: 'containerd',
    socketPath: 'run/containerd/containerd.sock',
    // resolv.conf alone may be a link to what is out of sight then.
    ownDirectories: ['run', 'var', ...(names ? ['etc'] : [])],
    command: 'containerd --config etc/containerd/config.toml',
    layOut: () => layOut(options),
    answers,
  });
  return {
    ...program,
    async ctr(...args) {
      const { stdout } = await run('ctr', ['--address', program.socket, '--namespace', 'k8s.io', ...args]);
      return stdout;
    },
  };
}

async function layOut({ nodeRoot, names }: ContainerdOptions): Promise<void> {
  for (const directory of ['var/lib', 'etc/containerd'])
    await mkdir(join(nodeRoot, directory), { recursive: true });
  if (names) {
    await writeFile(join(nodeRoot, 'etc/hosts'), `127.0.0.1 localhost ${names.local.join(' ')}\n`);
    await writeFile(join(nodeRoot, 'etc/resolv.conf'), `nameserver ${names.server}\n`);
  }
  const snapshotter = (await overlayWorks(nodeRoot)) ? 'overlayfs' : 'native';
  await writeFile(join(nodeRoot, 'etc/containerd/config.toml'), configToml(snapshotter));
}

function configToml(snapshotter: 'overlayfs' | 'native'): string {
  return `version = 2
# What only containers need, or other file systems.
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.internal.v1.restart",
  "io.containerd.internal.v1.tracing",
  "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.monitor.v1.cgroups",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.grpc.v1.cri".containerd]
  snapshotter = "${snapshotter}"
# containerd creates the first one: below /etc it would be the system's.
[plugins."io.containerd.grpc.v1.cri".cni]
  conf_dir = "/run/cni/net.d"
  bin_dir = "/run/cni/bin"
`;
}

/** Whether overlayfs can lie on this file system; it cannot on another overlay, as in many containers. */
async function overlayWorks(nodeRoot: string): Promise<boolean> {
  const script = `
    mount -t tmpfs none run &&
    mkdir run/merged &&
    mkdir -p var/lib/overlay-probe/lower var/lib/overlay-probe/upper var/lib/overlay-probe/work &&
    mount -t overlay -o lowerdir=var/lib/overlay-probe/lower,upperdir=var/lib/overlay-probe/upper,workdir=var/lib/overlay-probe/work none run/merged`;
  try {
    await run('unshare', ['--mount', 'sh', '-c', script], { cwd: nodeRoot });
    return true;
  } catch {
    return false;
  } finally {
    await run('rm', ['-rf', 'var/lib/overlay-probe'], { cwd: nodeRoot });
  }
}

/** Whether ListImages of CRI v1 answers: only then is the image service initialised, later than the socket is there. */
async function answers(socket: string): Promise<boolean> {
  const session = http2.connect('http://localhost', { createConnection: () => net.connect(socket) });
  try {
    return await new Promise<boolean>((resolve, reject) => {
      session.on('error', reject);
      session.setTimeout(1000, () => resolve(false));
      const call = session.request({
        ':method': 'POST',
        ':path': '/runtime.v1.ImageService/ListImages',
        'content-type': 'application/grpc',
        te: 'trailers',
      });
      call.on('error', reject);
      call.on(
        'response',
        headers => headers['grpc-status'] !== undefined && resolve(headers['grpc-status'] === '0'),
      );
      call.on('trailers', trailers => resolve(trailers['grpc-status'] === '0'));
      call.on('close', () => resolve(false));
      call.resume();
      call.end(Buffer.alloc(5)); // a gRPC frame with an empty message
    });
  } finally {
    session.destroy();
  }
}
