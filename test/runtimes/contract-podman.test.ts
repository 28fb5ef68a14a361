import { holdsTheContract } from './contract/contract.ts';
import { podman } from './tested-runtimes.ts';

holdsTheContract(podman);
