import { holdsTheContract } from './contract/contract.ts';
import { docker } from './tested-runtimes.ts';

holdsTheContract(docker);
