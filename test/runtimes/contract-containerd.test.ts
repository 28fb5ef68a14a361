import { holdsTheContract } from './contract/contract.ts';
import { containerd } from './tested-runtimes.ts';

holdsTheContract(containerd);
